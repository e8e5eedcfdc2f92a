"""How often a method may be called: the bucket by itself, and over HTTP as the contracts say."""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import pytest
from hypothesis import given
from hypothesis import settings as bounded
from hypothesis import strategies as st

from astronote.options.v1.options_pb2 import RateLimit
from services.gateway.errors import RateLimited
from services.gateway.rates import Bucket, Turns
from services.gateway.serving import Serving
from tests.gateway.servicers import Record, settings, token

TEN_A_MINUTE = RateLimit(by=RateLimit.ADDRESS, count=10, per_seconds=60)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def admitted(turns: Turns, bucket: Bucket, subject: str, calls: int) -> int:
    count = 0
    for _ in range(calls):
        try:
            turns.admit([bucket], subject)
        except RateLimited:
            continue
        count += 1
    return count


def test_a_burst_then_one_after_the_other() -> None:
    clock = Clock()
    turns, bucket = Turns(clock), Bucket.made("route", TEN_A_MINUTE, 1)
    assert admitted(turns, bucket, "a", 50) == 10
    assert admitted(turns, bucket, "b", 5) == 5
    with pytest.raises(RateLimited) as refused:
        turns.admit([bucket], "a")
    assert refused.value.metadata == {"by": "address", "retry_seconds": "6"}
    clock.now += 6
    assert admitted(turns, bucket, "a", 3) == 1
    clock.now += 60
    assert admitted(turns, bucket, "a", 50) == 10


@bounded(deadline=None)
@given(st.lists(st.floats(0, 30), max_size=80), st.integers(1, 20), st.sampled_from([0.5, 1, 3]))
def test_no_window_ever_has_more_than_its_burst_and_what_leaked(waits: list[float], count: int, factor: float) -> None:
    clock, times = Clock(), []
    turns = Turns(clock)
    bucket = Bucket.made("route", RateLimit(by=RateLimit.ADDRESS, count=count, per_seconds=60), factor)
    for wait in waits:
        clock.now += wait
        if admitted(turns, bucket, "a", 1):
            times.append(clock.now)
    for first, start in enumerate(times):
        for last, end in enumerate(times[first:], first):
            assert last - first + 1 <= count * factor + (end - start) * count * factor / 60 + 1 + 1e-6


def test_one_limit_that_refuses_takes_nothing_of_the_others() -> None:
    turns = Turns(Clock())
    wide = Bucket.made("route", RateLimit(by=RateLimit.MERCHANT, count=3, per_seconds=60), 1)
    narrow = Bucket.made("route", RateLimit(by=RateLimit.MERCHANT, count=1, per_seconds=60), 1)
    turns.admit([wide, narrow], "a")
    for _ in range(5):
        with pytest.raises(RateLimited):
            turns.admit([wide, narrow], "a")
    assert admitted(turns, wide, "a", 9) == 2


def test_memory_is_bounded_and_the_busy_are_remembered() -> None:
    clock = Clock()
    turns, bucket = Turns(clock, subjects_max=10), Bucket.made("route", TEN_A_MINUTE, 1)
    assert admitted(turns, bucket, "busy", 10) == 10
    for number in range(1000):
        turns.admit([bucket], f"passer-by {number}")
        assert admitted(turns, bucket, "busy", 1) == 0
        turns.take(bucket, "busy")
    assert len(turns._idle_times) == 10


@pytest.fixture
async def limited(service_ports: dict[str, int], record: Record) -> AsyncIterator[httpx.AsyncClient]:
    """A client before a gateway whose limits are those of the contracts."""
    async with (
        Serving(settings(service_ports, rate_limit_factor=1)) as serving,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{serving.port}", trust_env=False) as client,
    ):
        yield client


async def until_refused(call: Callable[[], Awaitable[httpx.Response]], count: int, by: str, status: int = 200) -> None:
    """The first `count` calls are answered, and soon one is refused: some have leaked away meanwhile."""
    answers = [await call() for _ in range(count)]
    assert {answer.status_code for answer in answers} == {status}
    while answers[-1].status_code == status:
        assert len(answers) < 2 * count
        answers.append(await call())
    assert answers[-1].status_code == 429, answers[-1].text
    found = answers[-1].json()["error"]
    assert found["status"] == "RESOURCE_EXHAUSTED"
    assert found["details"][0]["reason"] == "RATE_LIMITED"
    assert found["details"][0]["metadata"]["by"] == by
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 12


async def test_logins_of_an_address(limited: httpx.AsyncClient, record: Record) -> None:
    body = {"email": "a@b.gr", "password": "wrong"}
    await until_refused(lambda: limited.post("/v1/auth:login", json=body), 50, "address", 401)
    # Another route of the same address is not held up.
    assert (await limited.post("/v1/auth:logout", headers={"cookie": "rt=kept"})).status_code == 200


async def test_writes_of_contacts(limited: httpx.AsyncClient, record: Record, merchant_id: str) -> None:
    limited.headers["authorization"] = f"Bearer {token(merchant_id)}"
    await until_refused(lambda: limited.post("/v1/contacts", json={"phone": "1"}), 60, "address")
    asked = len(record.requests)
    assert (await limited.get("/v1/contacts/abc")).status_code == 200
    assert len(record.requests) == asked + 1


async def test_calls_of_a_merchant(limited: httpx.AsyncClient, record: Record, merchant_id: str) -> None:
    limited.headers["authorization"] = f"Bearer {token(merchant_id)}"
    await until_refused(lambda: limited.post("/v1/campaigns/c:send"), 60, "merchant")
    limited.headers["authorization"] = f"Bearer {token(str(uuid.uuid4()))}"
    assert (await limited.post("/v1/campaigns/c:send")).status_code == 200


async def test_callbacks_have_no_limit(limited: httpx.AsyncClient, record: Record) -> None:
    for _ in range(700):
        assert (await limited.post("/webhooks/mitto/dlr", content=b"{}")).status_code == 202


@pytest.mark.parametrize("guess", ["ar_live_short", "no.token.at-all"])
async def test_guesses_are_bounded_and_hold_up_nobody_who_is_known(
    limited: httpx.AsyncClient, merchant_id: str, guess: str
) -> None:
    known = {"authorization": f"Bearer {token(merchant_id)}"}
    assert (await limited.get("/v1/contacts/a", headers=known)).status_code == 200
    wrong = {"authorization": f"Bearer {guess}"}
    await until_refused(lambda: limited.get("/v1/contacts/a", headers=wrong), 60, "address", 401)
    assert (await limited.get("/v1/contacts/a", headers=known)).status_code == 200


async def test_a_token_that_expired_is_no_guess(limited: httpx.AsyncClient, merchant_id: str) -> None:
    old = {"authorization": f"Bearer {token(merchant_id, exp=1)}"}
    assert {(await limited.get("/v1/contacts/a", headers=old)).status_code for _ in range(130)} == {401}
