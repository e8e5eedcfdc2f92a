"""A replica that goes: it says so, is asked nothing more, and takes no call with it."""

import asyncio
import uuid
from collections import Counter

from astronote.wallet.v1 import wallet_pb2 as pb
from astronote.wallet.v1 import wallet_pb2_grpc as rpc
from kit.channel import Peer
from kit.identity import Identity
from kit.interceptors import Context
from kit.server import Server
from tests.conftest import KEYS, PUBLIC_KEYS

DELAY_SECONDS = 1.0


async def test_a_replica_that_goes_is_asked_nothing_more_and_no_call_fails() -> None:
    answered: Counter[str] = Counter()

    class Wallets(rpc.WalletServiceServicer):
        def __init__(self, replica: str) -> None:
            self._replica = replica

        async def CloseHold(self, request: pb.CloseHoldRequest, context: Context) -> pb.HoldRecord:
            answered[self._replica] += 1
            return pb.HoldRecord()

    def replica(name: str) -> Server:
        servicers = {rpc.add_WalletServiceServicer_to_server: Wallets(name)}
        identity = Identity("wallet", KEYS["wallet"].private, PUBLIC_KEYS)
        return Server("127.0.0.1:0", servicers, identity, drain_delay_seconds=DELAY_SECONDS)

    async with replica("stays") as stays:
        goes = await replica("goes").__aenter__()
        campaigns = Identity("campaigns", KEYS["campaigns"].private, PUBLIC_KEYS)
        peer = Peer(pb.DESCRIPTOR, f"ipv4:127.0.0.1:{stays.port},127.0.0.1:{goes.port}", campaigns)
        stub, merchant_id = rpc.WalletServiceStub(peer.channel), str(uuid.uuid4())

        async def call() -> None:
            # A write, which nobody may try again.
            request = pb.CloseHoldRequest(hold_id="hold")
            await stub.CloseHold(request, metadata=peer.metadata(merchant_id), timeout=10)

        async with asyncio.timeout(20):
            while len(answered) < 2:
                await call()
            going = asyncio.create_task(goes.__aexit__())
            answered.clear()
            while answered["stays"] < 30 or answered["goes"]:
                answered.clear()
                await asyncio.gather(*(call() for _ in range(30)))
            assert not going.done()
            await asyncio.gather(going, *(call() for _ in range(30)))
        assert not answered["goes"]
        await peer.channel.close()
