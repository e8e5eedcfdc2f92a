"""What the gateway remembers of API keys, and for how long."""

import asyncio
import hashlib

import grpc
import pytest

from astronote.accounts.v1.accounts_pb2 import ResolvedApiKey
from services.gateway import api_keys
from services.gateway.api_keys import (
    ASKING_MAX,
    AWAY_SECONDS,
    KNOWN_SECONDS,
    PAUSE_SECONDS,
    UNKNOWN_SECONDS,
    ApiKeys,
)
from services.gateway.errors import KeysUnavailable


def key(number: int = 0) -> str:
    return f"ar_live_{number:043d}"


class Accounts:
    def __init__(self) -> None:
        self.now, self.asked, self.is_away, self.seconds = 1000.0, 0, False, 0.0
        self.keys: set[bytes] = set()

    def add(self, text: str) -> None:
        self.keys.add(hashlib.sha256(text.encode()).digest())

    async def resolve(self, key_hash: bytes) -> ResolvedApiKey:
        self.asked += 1
        await asyncio.sleep(self.seconds)
        metadata = grpc.aio.Metadata()
        if self.is_away:
            raise grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, metadata, metadata)
        if key_hash not in self.keys:
            raise grpc.aio.AioRpcError(grpc.StatusCode.NOT_FOUND, metadata, metadata)
        return ResolvedApiKey(id="id", merchant_id="merchant")


@pytest.fixture
def accounts() -> Accounts:
    return Accounts()


@pytest.fixture
def keys(accounts: Accounts) -> ApiKeys:
    return ApiKeys(accounts.resolve, lambda: accounts.now)


async def test_a_good_key_is_asked_for_once_in_a_while_and_refused_soon_after_its_end(
    accounts: Accounts, keys: ApiKeys
):
    accounts.add(key())
    for _ in range(5):
        assert await keys.get(key())
    assert accounts.asked == 1
    accounts.keys.clear()
    accounts.now += KNOWN_SECONDS
    assert await keys.get(key())
    accounts.now += 1
    assert await keys.get(key()) is None
    assert accounts.asked == 2


async def test_a_key_that_was_tried_too_early_works_in_a_moment(accounts: Accounts, keys: ApiKeys):
    for _ in range(5):
        assert await keys.get(key()) is None
    assert accounts.asked == 1
    accounts.add(key())
    accounts.now += UNKNOWN_SECONDS + 1
    assert await keys.get(key())


async def test_what_is_no_key_is_not_asked_for(accounts: Accounts, keys: ApiKeys):
    for text in ("ar_live_", "ar_live_" + "A" * 42, "ar_live_" + "A" * 44, "ar_live_" + "!" * 43, key() + "\n"):
        assert await keys.get(text) is None
    assert accounts.asked == 0


async def test_many_at_once_ask_once_even_when_the_first_goes_away(accounts: Accounts, keys: ApiKeys):
    accounts.add(key())
    accounts.seconds = 0.05
    asking = [asyncio.create_task(keys.get(key())) for _ in range(20)]
    await asyncio.sleep(0.01)
    asking[0].cancel()
    found = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(found[0], asyncio.CancelledError)
    assert all(isinstance(each, ResolvedApiKey) for each in found[1:])
    assert accounts.asked == 1


async def test_a_flood_of_unknown_keys_is_bounded_and_leaves_the_known_ones_alone(
    accounts: Accounts, keys: ApiKeys, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(api_keys, "REMEMBERED_MAX", 10)
    accounts.add(key())
    assert await keys.get(key())
    accounts.now += KNOWN_SECONDS + 1
    accounts.seconds = 0.05
    flood = [asyncio.create_task(keys.get(key(number))) for number in range(1, ASKING_MAX + 21)]
    await asyncio.sleep(0.01)
    assert await keys.get(key())
    found = await asyncio.gather(*flood, return_exceptions=True)
    assert sum(isinstance(each, KeysUnavailable) for each in found) == 20
    assert accounts.asked == 2 + ASKING_MAX
    assert len(keys._unknown) == 10
    assert not keys._asking


async def test_a_good_key_stays_good_for_a_while_when_accounts_is_away(accounts: Accounts, keys: ApiKeys):
    accounts.add(key())
    assert await keys.get(key())
    accounts.is_away = True
    accounts.now += KNOWN_SECONDS + 1
    for _ in range(5):
        assert await keys.get(key())
    assert accounts.asked == 2
    with pytest.raises(KeysUnavailable):
        await keys.get(key(1))
    accounts.now += AWAY_SECONDS
    with pytest.raises(KeysUnavailable):
        await keys.get(key())
    accounts.is_away = False
    accounts.now += PAUSE_SECONDS
    assert await keys.get(key())
