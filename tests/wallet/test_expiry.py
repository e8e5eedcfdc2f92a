"""Credits that expire, over a real channel and a real database."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from astronote.wallet.v1 import promotions_pb2 as pb
from astronote.wallet.v1 import wallet_pb2 as wallet_pb
from astronote.wallet.v1.promotions_pb2_grpc import PromotionsServiceStub
from services.wallet import expiry
from services.wallet.expiry import Expiry
from services.wallet.store import WalletStore
from tests.wallet.client import Client, new_id, reason

NOW = datetime.now(UTC)
SOON, LATER = NOW + timedelta(days=1), NOW + timedelta(days=30)


@pytest.fixture
async def wallet(mesh: Any, merchant_id: str) -> Client:
    client = Client(mesh, merchant_id)
    await client.register(100)
    return client


async def promotions(wallet: Client) -> list[tuple[int, int]]:
    peer = await wallet.mesh.service("wallet")
    metadata = peer.metadata(wallet.merchant_id, role="merchant")
    stub = PromotionsServiceStub(peer.channel)
    answer = await stub.ListPromotions(pb.ListPromotionsRequest(), metadata=metadata, timeout=20)
    return [(each.amount, each.remaining) for each in answer.promotions]


async def expire(wallet: Client, at: datetime) -> None:
    """As the job does it at that time, for this merchant."""
    async with WalletStore.open(wallet.mesh.app("wallet").database, wallet.merchant_id) as store:
        await expiry.expire(store, at)


async def kinds(wallet: Client) -> list[tuple[str, int]]:
    listed = (await wallet("ListTransactions", "gateway")).transactions
    return [(wallet_pb.Transaction.Kind.Name(each.kind), each.available_change) for each in reversed(listed)]


async def test_what_expires_soonest_is_spent_first_and_the_rest_of_it_expires(wallet: Client, mesh: Any):
    await wallet.grant(50, expire_time=LATER)
    await wallet.grant(20, expire_time=SOON)
    assert await promotions(wallet) == [(20, 20), (50, 50)]
    hold_id = new_id()
    await wallet("Hold", hold_id=hold_id, amount=30)
    assert await promotions(wallet) == [(50, 40)]
    await wallet.settle(hold_id, "a", capture=30)
    await expire(wallet, SOON)
    assert await wallet.balances() == (140, 0, 30)
    await expire(wallet, LATER)
    assert await wallet.balances() == (100, 0, 30)
    assert await promotions(wallet) == []
    assert (await wallet("GetWallet")).granted == 130
    assert (await kinds(wallet))[-1] == ("EXPIRE", -40)
    # Again is harmless.
    await expire(wallet, LATER)
    assert await wallet.balances() == (100, 0, 30)
    async with WalletStore.open_pipeline(mesh.app("wallet").database) as store:
        assert await store.discrepancies() == 0


async def test_what_is_held_at_the_end_stays_with_its_hold(wallet: Client):
    await wallet.grant(50, expire_time=SOON)
    hold_id = new_id()
    await wallet("Hold", hold_id=hold_id, amount=120)
    await expire(wallet, SOON)
    assert await wallet.balances() == (30, 120, 0)
    await wallet("CloseHold", hold_id=hold_id)
    assert await wallet.balances() == (150, 0, 0)


async def test_without_an_end_credits_never_expire(wallet: Client):
    await wallet.grant(50)
    await expire(wallet, NOW + timedelta(days=100_000))
    assert await wallet.balances() == (150, 0, 0)


async def test_an_end_lies_ahead_and_a_repeat_is_answered_after_it(wallet: Client):
    for end in (NOW - timedelta(seconds=1), NOW + timedelta(days=4000)):
        assert await reason(wallet.grant(1, expire_time=end)) == "EXPIRE_TIME_INVALID"
    assert await wallet.balances() == (100, 0, 0)
    end, request_id = datetime.now(UTC) + timedelta(seconds=0.4), new_id()
    first = await wallet.grant(7, request_id, expire_time=end)
    while datetime.now(UTC) <= end:
        await asyncio.sleep(0.05)
    await Expiry(wallet.mesh.app("wallet").database).step()
    assert await wallet.balances() == (100, 0, 0)
    assert await wallet.grant(7, request_id, expire_time=end) == first
    assert await wallet.balances() == (100, 0, 0)


async def test_a_wallet_has_a_hundred_promotions_at_most(wallet: Client, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("services.wallet.promotions.PROMOTIONS_MAX", 2)
    await wallet.grant(1, expire_time=SOON)
    await wallet.grant(1, expire_time=SOON)
    assert await reason(wallet.grant(1, expire_time=SOON)) == "PROMOTIONS_TOO_MANY"
    assert await wallet.balances() == (102, 0, 0)


async def test_holds_and_ends_at_once_lose_nothing(wallet: Client, mesh: Any):
    for _ in range(5):
        await wallet.grant(10, expire_time=SOON)

    async def use() -> None:
        hold_id = new_id()
        await wallet("Hold", hold_id=hold_id, amount=3)
        await wallet.settle(hold_id, "a", capture=2, release=1)

    await asyncio.gather(*(use() for _ in range(20)), *(expire(wallet, SOON) for _ in range(4)))
    await expire(wallet, SOON)
    available, held, spent = await wallet.balances()
    assert (held, spent) == (0, 40)
    ended = -sum(change for kind, change in await kinds(wallet) if kind == "EXPIRE")
    assert available == 150 - 40 - ended
    assert 0 <= ended <= 50
    async with WalletStore.open_pipeline(mesh.app("wallet").database) as store:
        assert await store.discrepancies() == 0
