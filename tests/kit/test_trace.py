"""One trace from the front door to the provider, by `traceparent`."""

import re
import subprocess
import sys
import uuid

import httpx
import orjson
import pytest

from astronote.sender.v1.batches_pb2 import BatchRecipient
from astronote.wallet.v1 import wallet_pb2 as pb
from astronote.wallet.v1 import wallet_pb2_grpc as rpc
from deploy.local.credentials import KeyPair
from kit import log, trace
from kit.channel import Peer
from kit.identity import Identity
from kit.interceptors import Context
from kit.server import Server
from services.sender.providers.mitto import Mitto

KEYS = {name: KeyPair.generate() for name in ("campaigns", "wallet")}
PUBLIC_KEYS = {name: pair.public for name, pair in KEYS.items()}
GIVEN = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize(
    "given", ["", "garbage", GIVEN[:-1], f"00-{'0' * 32}-{'1' * 16}-01", f"ff{GIVEN[2:]}", f"{GIVEN}x"]
)
def test_what_is_no_traceparent_begins_a_trace_of_its_own(given: str) -> None:
    made = trace.child(given)
    assert trace.FORM.fullmatch(made)
    assert GIVEN[3:35] not in made


def test_a_child_is_another_span_of_the_same_trace() -> None:
    made = trace.child(GIVEN)
    assert (made[:36], made[-2:]) == (GIVEN[:36], "01")
    assert made != GIVEN


def test_the_trace_stands_in_the_logs_and_phones_do_not() -> None:
    trace.enter(GIVEN)
    event = log._ids(None, "info", {"event": "rpc", "error": "to +306944444444"})
    assert event["trace_id"] == GIVEN[3:35]
    assert log._mask(None, "info", event)["error"] == "to +3069…44"


def test_a_block_is_a_span_of_its_own_and_then_the_outer_one_goes_on() -> None:
    trace.enter(GIVEN)
    with pytest.raises(KeyError), trace.within("CLIENT", "ask"):
        inner = trace.current()
        raise KeyError
    assert inner[:36] == GIVEN[:36]
    assert inner != GIVEN == trace.current()


def test_what_libraries_warn_of_is_a_line_like_ours(capfd: pytest.CaptureFixture[str]) -> None:
    """In a process of its own, as a service is; and OpenTelemetry is not even loaded where nobody collects spans."""
    program = (
        "import logging, sys\n"
        "import kit.app, kit.log, kit.trace\n"
        "kit.log.setup('wallet')\n"
        "kit.trace.export('wallet', '')\n"
        "logging.getLogger('some.library').warning('no answer for %s', '+306944444444')\n"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry')]\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    line = orjson.loads(capfd.readouterr().err)
    assert (line["service"], line["logger"], line["level"]) == ("wallet", "some.library", "warning")
    assert line["message"] == "no answer for +3069…44"


async def test_a_call_goes_on_in_the_trace_of_its_caller() -> None:
    seen = []

    class Wallets(rpc.WalletServiceServicer):
        async def GetWallet(self, request: pb.GetWalletRequest, context: Context) -> pb.Wallet:
            seen.append(trace.current())
            return pb.Wallet()

    wallet = Identity("wallet", KEYS["wallet"].private, PUBLIC_KEYS)
    async with Server("localhost:0", {rpc.add_WalletServiceServicer_to_server: Wallets()}, wallet) as server:
        campaigns = Identity("campaigns", KEYS["campaigns"].private, PUBLIC_KEYS)
        peer = Peer(pb.DESCRIPTOR, f"localhost:{server.port}", campaigns)
        stub, merchant_id = rpc.WalletServiceStub(peer.channel), str(uuid.uuid4())
        for traceparent in (GIVEN, ""):
            trace.enter(traceparent)
            await stub.GetWallet(pb.GetWalletRequest(), metadata=peer.metadata(merchant_id), timeout=5)
        await peer.channel.close()
    assert seen[0][:36] == GIVEN[:36]
    assert seen[0] != GIVEN
    assert trace.FORM.fullmatch(seen[1])
    assert seen[1][3:35] != GIVEN[3:35]


async def test_the_provider_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(503)

    mitto = Mitto("http://mitto.test", "key", "local", 5)
    await mitto._client.aclose()
    mitto._client = httpx.AsyncClient(base_url="http://mitto.test", transport=httpx.MockTransport(answer))
    trace.enter(GIVEN)
    await mitto.submit("Cafe", [(1, BatchRecipient(phone="+306944444444", text="Hi"))])
    await mitto.close()
    assert re.fullmatch(trace.FORM, asked[0].headers["traceparent"])
    assert asked[0].headers["traceparent"][3:35] == GIVEN[3:35]
