"""A slow service costs its own routes only: bounded calls, a bounded wait, streams apart."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from astronote.campaigns.v1.campaigns_pb2 import Progress
from services.gateway.errors import Overloaded
from services.gateway.lanes import Lane
from services.gateway.serving import Serving
from tests.gateway.servicers import Record, settings, token

SLOW, OTHER, SAME = "/v1/contacts/slow", "/v1/campaigns/c:send", "/v1/contacts/quick"
WATCH = "/v1/campaigns/c:watch"


@pytest.fixture
async def http(service_ports: dict[str, int], record: Record, merchant_id: str) -> AsyncIterator[httpx.AsyncClient]:
    chosen = settings(
        service_ports, service_calls_max=4, service_streams_max=16, service_wait_seconds=0.1, timeout_seconds=20
    )
    async with (
        Serving(chosen) as serving,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{serving.port}", trust_env=False, timeout=30) as client,
    ):
        client.headers["authorization"] = f"Bearer {token(merchant_id)}"
        yield client
        record.hangs.set()


def reason(answer: httpx.Response) -> str:
    return str(answer.json()["error"]["details"][0]["reason"])


async def until(record: Record, count: int) -> None:
    async with asyncio.timeout(10):
        while len(record.requests) < count:
            await asyncio.sleep(0.01)


async def test_a_service_that_hangs_holds_up_no_other(http: httpx.AsyncClient, record: Record) -> None:
    # Its channel is open: while that opens, few are let in.
    assert (await http.post(OTHER)).status_code == 200
    hanging = [asyncio.create_task(http.get(SLOW)) for _ in range(4)]
    await until(record, 5)
    refused = await asyncio.gather(*(http.get(SAME) for _ in range(12)))
    assert {answer.status_code for answer in refused} == {503}
    assert {reason(answer) for answer in refused} == {"OVERLOADED"}
    assert {answer.headers["retry-after"] for answer in refused} == {"1"}
    others = await asyncio.gather(*(http.post(OTHER) for _ in range(4)))
    assert {answer.status_code for answer in others} == {200}
    assert (await http.get("/readyz")).status_code == 200
    # Of what was refused, nothing reached the service.
    assert len([request for request in record.requests if request.id == "quick"]) == 0
    record.hangs.set()
    assert {answer.status_code for answer in await asyncio.gather(*hanging)} == {200}
    assert (await http.get(SAME)).status_code == 200


async def test_one_that_waits_gets_the_place_that_comes_free() -> None:
    lane, order = Lane("contacts", 1, wait_seconds=10), []

    async def call(name: str) -> None:
        async with lane:
            order.append(name)
            await asyncio.sleep(0)

    async with lane:
        waiting = asyncio.create_task(call("first"))
        await asyncio.sleep(0)
        # As many wait as there are places; one more is refused at once.
        with pytest.raises(Overloaded):
            await call("second")
    await waiting
    assert order == ["first"]


async def test_who_gives_up_waiting_leaves_no_place_taken() -> None:
    lane = Lane("contacts", 1, wait_seconds=10)
    async with lane:
        waiting = asyncio.create_task(lane.__aenter__())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    async with asyncio.timeout(1), lane:
        pass


async def test_a_call_that_takes_too_long_is_told_from_a_service_that_is_full(
    service_ports: dict[str, int], record: Record, merchant_id: str
) -> None:
    async with (
        Serving(settings(service_ports, timeout_seconds=0.2)) as serving,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{serving.port}", trust_env=False) as client,
    ):
        answer = await client.get(SLOW, headers={"authorization": f"Bearer {token(merchant_id)}"})
    assert answer.status_code == 504
    assert answer.json()["error"]["status"] == "DEADLINE_EXCEEDED"


async def test_streams_stand_in_nobodys_way(http: httpx.AsyncClient, record: Record, merchant_id: str) -> None:
    """A merchant has an eighth of a service's streams: two of these sixteen."""
    record.events = [Progress(), record.hangs]
    async with http.stream("GET", WATCH) as first, http.stream("GET", WATCH) as second:
        assert (first.status_code, second.status_code) == (200, 200)
        refused = await http.get(WATCH)
        assert (refused.status_code, reason(refused)) == (429, "TOO_MANY_STREAMS")
        assert refused.headers["retry-after"] == "5"
        answers = await asyncio.gather(*(http.post(OTHER) for _ in range(4)))
        assert {answer.status_code for answer in answers} == {200}
        stranger = {"authorization": f"Bearer {token('7' * 8 + merchant_id[8:])}"}
        async with http.stream("GET", WATCH, headers=stranger) as third:
            assert third.status_code == 200
    record.events = [Progress()]
    async with asyncio.timeout(10):
        while (await http.get(WATCH)).status_code == 429:
            await asyncio.sleep(0.01)


async def test_bodies_take_up_so_much_memory_and_no_more(
    service_ports: dict[str, int], record: Record, merchant_id: str
) -> None:
    async def slowly(pieces: asyncio.Queue[bytes]) -> AsyncIterator[bytes]:
        while piece := await pieces.get():
            yield piece

    pieces: asyncio.Queue[bytes] = asyncio.Queue()
    async with (
        Serving(settings(service_ports, bodies_bytes_max=300_000)) as serving,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{serving.port}", trust_env=False) as client,
    ):
        client.headers.update({"authorization": f"Bearer {token(merchant_id)}", "content-type": "application/json"})
        holding = asyncio.create_task(client.post("/v1/contacts", content=slowly(pieces)))
        pieces.put_nowait(b'{"phone": "1", "firstName": "' + b"x" * 200_000)
        async with asyncio.timeout(10):
            while serving.gateway._room.bytes_left > 100_000:
                await asyncio.sleep(0.01)
        refused = await client.post("/v1/contacts", json={"phone": "2", "firstName": "x" * 150_000})
        assert (refused.status_code, reason(refused)) == (503, "TOO_MUCH_IN_HAND")
        assert refused.headers["retry-after"] == "1"
        assert (await client.post("/v1/contacts", json={"phone": "3"})).status_code == 200
        pieces.put_nowait(b'"}')
        pieces.put_nowait(b"")
        assert (await holding).status_code == 200
        assert serving.gateway._room.bytes_left == 300_000
