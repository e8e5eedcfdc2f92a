"""Whoever only holds connections, or dribbles, costs the others nothing."""

import asyncio
import contextlib
import resource
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.attack.conftest import Front, Merchant

pytestmark = [
    pytest.mark.xdist_group("attack"),
    pytest.mark.usefixtures("nothing_is_left"),
    pytest.mark.timeout(120),
]
IDLE = 10_000
# What both ends need beside the connections.
OTHER_FILES = 1_000
OPENING_AT_ONCE = 200
CONNECTION_BYTES_MAX = 40_000
ANSWER_SECONDS = 10.0
HEAD = b"POST /v1/contacts HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


@pytest.fixture
def idle_max() -> int:
    """As many as this machine lets one process open; what it inherits is the gateway's limit, too."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return min(IDLE, soft - OTHER_FILES)


@contextlib.asynccontextmanager
async def connections(front: Front, count: int, sent: bytes) -> AsyncIterator[list[asyncio.StreamReader]]:
    turns = asyncio.Semaphore(OPENING_AT_ONCE)

    async def opened() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        async with turns:
            reader, writer = await asyncio.open_connection(*front.address)
            writer.write(sent)
            return reader, writer

    pairs = await asyncio.gather(*(opened() for _ in range(count)))
    try:
        yield [reader for reader, _ in pairs]
    finally:
        for _, writer in pairs:
            writer.transport.abort()


async def assert_answers(front: Front, merchant: Merchant) -> None:
    async with httpx.AsyncClient(base_url=front.url, timeout=ANSWER_SECONDS) as http:
        for _ in range(5):
            assert (await http.get("/v1/me", headers=merchant.headers)).status_code == 200


async def test_ten_thousand_connections_that_do_nothing_cost_nobody_an_answer(
    front: Front, merchant: Merchant, idle_max: int
) -> None:
    memory_bytes = front.memory_bytes()
    async with connections(front, idle_max, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"):
        assert front.files() > idle_max / 2
        await assert_answers(front, merchant)
        assert front.memory_bytes() - memory_bytes < CONNECTION_BYTES_MAX * idle_max
    async with asyncio.timeout(30):
        while front.files() > OTHER_FILES:
            await asyncio.sleep(0.1)
    await assert_answers(front, merchant)


async def test_who_does_not_end_a_head_is_hung_up_on(front: Front, merchant: Merchant) -> None:
    async with connections(front, 1_000, b"GET /v1/me HTTP/1.1\r\nHost: x\r\nX: ") as readers:
        await assert_answers(front, merchant)
        async with asyncio.timeout(20):
            for reader in readers:
                await reader.read()


async def test_who_dribbles_a_body_holds_no_one_up(front: Front, merchant: Merchant) -> None:
    head = HEAD + f"Authorization: Bearer {merchant.token}\r\nContent-Length: 1000\r\n\r\n{{".encode()
    async with connections(front, 500, head):
        await assert_answers(front, merchant)
        async with httpx.AsyncClient(base_url=front.url, timeout=ANSWER_SECONDS) as http:
            answer = await http.patch(
                f"/v1/contacts/{merchant.contact_id}", json={"lastName": "Dribble"}, headers=merchant.headers
            )
            assert answer.status_code == 200


async def test_uploads_that_stall_or_break_off_leave_nothing(front: Front, merchant: Merchant) -> None:
    head = b"POST /v1/contacts:import HTTP/1.1\r\nHost: x\r\nContent-Type: text/csv\r\nTransfer-Encoding: chunked\r\n"
    head += f"Authorization: Bearer {merchant.token}\r\n\r\n".encode() + b"6\r\nphone\n\r\n"
    async with connections(front, 50, head):
        await assert_answers(front, merchant)
    await assert_answers(front, merchant)


async def test_who_leaves_streams_leaves_no_call_behind(front: Front, merchant: Merchant) -> None:
    async with httpx.AsyncClient(base_url=front.url, headers=merchant.headers, timeout=ANSWER_SECONDS) as http:
        draft = {"name": "Never sent", "text": "Hi", "audience": {"all": True}}
        campaign = (await http.post("/v1/campaigns", json=draft)).json()["id"]
    text = f"GET /v1/campaigns/{campaign}:watch HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {merchant.token}\r\n\r\n"
    async with connections(front, 100, text.encode()) as readers:
        async with asyncio.timeout(20):
            assert (await readers[0].readline()).startswith((b"HTTP/1.1 200", b"HTTP/1.1 429"))
        await assert_answers(front, merchant)
    async with asyncio.timeout(20):
        while front.in_hand() > 0:
            await asyncio.sleep(0.1)
