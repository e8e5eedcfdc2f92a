"""Guessing is slowed down, on all replicas together; the owner is not locked out by it."""

import asyncio
import uuid
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from hypothesis import given
from hypothesis import strategies as st

from services.accounts import lockout
from services.accounts.expiry import Expiry
from services.accounts.lockout import ADDRESS, EMAIL, PAIR, REGISTRATION, Limit
from services.accounts.store import AccountStore, LoginCount
from tests.accounts.client import Client, Clock, column, refused

pytestmark = pytest.mark.usefixtures("clock")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def address() -> str:
    """One that no other test has."""
    return f"2001:db8:{uuid.uuid4().hex[:4]}:{uuid.uuid4().hex[:4]}::1"


@pytest.fixture
def shop(mesh: Any) -> Client:
    client = Client(mesh)
    client.address = address()
    return client


async def guesses(shop: Client, count: int, **fields: str) -> Counter[str]:
    calls = (refused(shop.login(f"wrong password {number}", **fields)) for number in range(count))
    return Counter(reason for reason, _ in await asyncio.gather(*calls))


async def test_a_guesser_waits_longer_and_longer_and_all_others_log_in(shop: Client):
    await shop.register()
    assert await guesses(shop, 40) == {"CREDENTIALS_WRONG": PAIR.free + 1, "LOGIN_LOCKED": 39 - PAIR.free}
    # The right password is no way to find out that it is the right one.
    assert await refused(shop.login()) == ("LOGIN_LOCKED", "")
    shop.address = address()
    assert await shop.login()


async def test_the_refusal_says_when_to_come_again_and_then_it_opens(shop: Client, clock: Clock):
    await shop.register()
    await guesses(shop, 10)
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await shop.login()
    assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    trailer = dict(raised.value.trailing_metadata() or ())["grpc-status-details-bin"]
    info, retry = ErrorInfo(), RetryInfo()
    details = Status.FromString(trailer).details
    assert details[0].Unpack(info)
    assert details[1].Unpack(retry)
    assert retry.retry_delay.seconds == int(info.metadata["retry_seconds"])
    assert retry.retry_delay.seconds == 2
    clock.advance(1.9)
    assert await refused(shop.login()) == ("LOGIN_LOCKED", "")
    clock.advance(0.1)
    assert await shop.login()
    # Success takes the failures back: the guesser begins anew only where the owner is.
    assert await refused(shop.login("wrong password")) == ("CREDENTIALS_WRONG", "")


async def test_many_addresses_together_make_nobody_wait_long_and_the_owner_not_at_all(shop: Client):
    await shop.register()
    await shop.login()
    home = shop.address
    found: Counter[str] = Counter()
    for _ in range(12):
        shop.address = address()
        found += await guesses(shop, 3)
    assert found["CREDENTIALS_WRONG"] == EMAIL.free + 1
    shop.address = address()
    assert await refused(shop.login()) == ("LOGIN_LOCKED", "")
    shop.address = home
    assert await shop.login()


async def test_one_address_that_tries_many_emails_waits(shop: Client):
    await shop.register()
    found: Counter[str] = Counter()
    for number in range(ADDRESS.free + 5):
        found += await guesses(shop, 1, email=f"{number}@nobody.example")
    assert found == {"CREDENTIALS_WRONG": ADDRESS.free + 1, "LOGIN_LOCKED": 4}
    # Whoever has one address of IPv6 has its whole network.
    shop.address = shop.address[:-1] + "2"
    assert await refused(shop.login()) == ("LOGIN_LOCKED", "")


async def test_logins_that_succeed_cost_nothing(shop: Client):
    await shop.register()
    for _ in range(EMAIL.free + 5):
        await shop.login()


async def test_an_unknown_email_locks_as_a_known_one(shop: Client, mesh: Any):
    await shop.register()
    known = [(await refused(shop.login("wrong password")))[0] for _ in range(10)]
    shop.address, email = address(), f"{uuid.uuid4()}@nobody.example"
    assert [(await refused(shop.login("wrong password", email)))[0] for _ in range(10)] == known


async def test_an_email_is_registered_so_often_and_no_more(shop: Client, clock: Clock):
    await shop.register()
    shop.address = address()
    tried = [(await refused(shop.register()))[0] for _ in range(REGISTRATION.free + 1)]
    assert tried == [*["EMAIL_TAKEN"] * REGISTRATION.free, "REGISTRATION_LOCKED"]
    # As the email is kept, wherever it comes from; nobody else waits, nor does the owner at the login.
    shop.address = address()
    assert await refused(shop.register(email=f" {shop.email.upper()}")) == ("REGISTRATION_LOCKED", "")
    assert await shop.login()
    assert await Client(shop.mesh).register()
    clock.advance(2)
    assert await refused(shop.register()) == ("EMAIL_TAKEN", "email")


async def test_counts_say_nothing_of_anybody_and_are_forgotten(shop: Client, mesh: Any):
    await shop.register()
    await shop.login()
    await guesses(shop, 3)
    texts = await column(mesh, "SELECT login_counts::text || encode(key, 'escape') FROM login_counts")
    assert texts
    assert not any(shop.email in text or shop.address in text for text in texts)
    assert not await column(mesh, "SELECT 1 FROM login_counts WHERE expire_time > now() + interval '91 days'")
    await column(mesh, "UPDATE login_counts SET expire_time = now() - interval '1 s' RETURNING 1")
    assert await Expiry(mesh.app("accounts").database).step()
    assert not await column(mesh, "SELECT 1 FROM login_counts")


async def test_only_the_gateway_says_where_it_was_asked_from(shop: Client, mesh: Any):
    await shop.register()
    database = mesh.app("accounts").database
    subject = lockout.subject("user", "a@b.gr", "no address", b"secret")
    assert (subject.address, subject.pair) == (None, None)
    async with AccountStore.open_pipeline(database) as store:
        await lockout.begin(store, subject, datetime.now(UTC))


def fresh() -> LoginCount:
    return LoginCount(b"key", 0.0, NOW, NOW, False, NOW)


@pytest.mark.parametrize("limit", [PAIR, EMAIL, ADDRESS])
def test_waits_grow_to_a_bound_and_failures_leak_away(limit: Limit):
    count, now, waits = fresh(), NOW, []
    for _ in range(limit.free + 20):
        count = lockout.tried(count, limit, now)
        waits.append((count.next_time - now).total_seconds())
    assert waits[: limit.free] == [0] * limit.free
    assert waits[limit.free] == 2
    assert waits == sorted(waits)
    assert waits[-1] == limit.wait_seconds_max
    later = now + timedelta(seconds=limit.leak_seconds * (limit.free + 20))
    assert lockout.tried(count, limit, later).failures == 1


@given(st.lists(st.floats(min_value=-10, max_value=3600), max_size=60), st.sampled_from([PAIR, EMAIL, ADDRESS]))
def test_nobody_ever_waits_longer_than_the_limit_says(pauses: list[float], limit: Limit):
    count, now = fresh(), NOW
    for pause in pauses:
        now += timedelta(seconds=pause)
        count = lockout.tried(count, limit, now)
        assert 0 <= (count.next_time - now).total_seconds() <= limit.wait_seconds_max
        assert count.failures >= 1


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("10.0.0.1", "10.0.0.2", False),
        ("2001:db8::1", "2001:db8::ffff", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:10.0.0.1", "10.0.0.1", True),
    ],
)
def test_networks(one: str, other: str, is_same: bool):
    keys = [lockout.subject("user", "a@b.gr", each, b"secret").address for each in (one, other)]
    assert (keys[0] == keys[1]) is is_same
