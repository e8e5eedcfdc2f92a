"""The guards over a real channel and a real database: what may be held, and what a day has left."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from sqlalchemy import text

from astronote.wallet.v1 import catalogue_pb2 as catalogue
from astronote.wallet.v1 import guards_pb2 as pb
from astronote.wallet.v1.catalogue_pb2_grpc import CatalogueServiceStub
from astronote.wallet.v1.events_pb2 import BalanceLow
from astronote.wallet.v1.guards_pb2_grpc import SpendingServiceStub
from services.wallet.store import WalletStore
from tests.wallet.client import Client, new_id, reason, refused
from tests.wallet.test_catalogue import registered

OPERATOR = new_id()


async def limits(wallet: Client, **fields: Any) -> pb.SpendLimits:
    """The merchant's, changed where fields are given."""
    peer = await wallet.mesh.service("wallet")
    stub, metadata = SpendingServiceStub(peer.channel), peer.metadata(wallet.merchant_id, role="merchant")
    if not fields:
        return await stub.GetSpendLimits(pb.GetSpendLimitsRequest(), metadata=metadata, timeout=20)
    mask = FieldMask(paths=list(fields))
    request = pb.UpdateSpendLimitsRequest(spend_limits=pb.SpendLimits(**fields), update_mask=mask)
    return await stub.UpdateSpendLimits(request, metadata=metadata, timeout=20)


async def set_policy(mesh: Any, **fields: Any) -> pb.SpendPolicy:
    peer = await mesh.service("wallet")
    request = pb.UpdateSpendPolicyRequest(spend_policy=pb.SpendPolicy(**fields))
    request.update_mask.paths.extend(fields)
    metadata = peer.metadata(role="operator", user_id=OPERATOR)
    return await SpendingServiceStub(peer.channel).UpdateSpendPolicy(request, metadata=metadata, timeout=20)


@asynccontextmanager
async def policy(mesh: Any, **fields: Any) -> AsyncIterator[pb.SpendPolicy]:
    """Of all merchants, until the block ends."""
    try:
        yield await set_policy(mesh, **fields)
    finally:
        await set_policy(mesh, braked=False, reason="", calling_codes=[])


@pytest.fixture
async def wallet(mesh: Any) -> Client:
    client = Client(mesh, await registered(mesh, "GR"))
    await client.open(1000)
    return client


async def hold(wallet: Client, amount: int, *destinations: str) -> str:
    hold_id = new_id()
    await wallet("Hold", hold_id=hold_id, amount=amount, destinations=destinations)
    return hold_id


async def test_limits_are_none_before_they_are_set_and_changed_one_by_one(wallet: Client):
    assert await limits(wallet) == pb.SpendLimits()
    await limits(wallet, daily_credits_max=50, calling_codes=["+30"])
    assert await limits(wallet, low_balance_credits=7) == await limits(wallet)
    expected = pb.SpendLimits(daily_credits_max=50, calling_codes=["+30"], low_balance_credits=7)
    assert await limits(wallet) == expected
    said, metadata = await refused(limits(wallet, calling_codes=["Greece"]))
    assert (said, metadata["field"]) == ("SPEND_LIMITS_INVALID", "spend_limits.calling_codes")
    assert await reason(limits(wallet, credits_used_today=3)) == "MASK_INVALID"
    assert await limits(wallet) == expected


async def test_no_api_key_loosens_what_bounds_it(wallet: Client):
    peer = await wallet.mesh.service("wallet")
    metadata = peer.metadata(wallet.merchant_id, role="merchant", api_key_id=new_id())
    request = pb.UpdateSpendLimitsRequest(spend_limits=pb.SpendLimits(daily_credits_max=5))
    call = SpendingServiceStub(peer.channel).UpdateSpendLimits(request, metadata=metadata, timeout=20)
    assert await reason(call) == "LOGIN_NEEDED"


async def test_a_day_ends_at_its_cap_and_what_came_back_may_be_held_again(wallet: Client):
    before = await hold(wallet, 30)
    # What was held before the cap was set is of the same day.
    assert (await limits(wallet, daily_credits_max=100)).credits_used_today == 30
    second = await hold(wallet, 60)
    assert await refused(wallet("Hold", hold_id=new_id(), amount=11)) == (
        "DAILY_CAP_REACHED",
        {"daily_credits_max": "100", "left_today": "10"},
    )
    assert await wallet.balances() == (910, 90, 0)
    await wallet.settle(second, "a", capture=20, release=15)
    assert (await limits(wallet)).credits_used_today == 75
    await wallet("CloseHold", hold_id=second, captured=20)
    await wallet("CloseHold", hold_id=before)
    assert (await limits(wallet)).credits_used_today == 20
    await hold(wallet, 80)
    assert await reason(hold(wallet, 1)) == "DAILY_CAP_REACHED"
    await limits(wallet, daily_credits_max=0)
    await hold(wallet, 100)


async def test_a_new_day_begins_with_nothing_used(wallet: Client, mesh: Any):
    await limits(wallet, daily_credits_max=50)
    old = await hold(wallet, 50)
    async with WalletStore.open_pipeline(mesh.app("wallet").database) as store:
        await store.connection.execute(
            text("UPDATE spend_limits SET day = day - 1 WHERE merchant_id = :id"), {"id": wallet.merchant_id}
        )
        await store.connection.execute(
            text("UPDATE holds SET create_time = :time WHERE merchant_id = :id"),
            {"id": wallet.merchant_id, "time": datetime.now(UTC) - timedelta(days=1)},
        )
    assert (await limits(wallet)).credits_used_today == 0
    await hold(wallet, 40)
    # What comes back of another day's is not this day's.
    await wallet("CloseHold", hold_id=old)
    assert (await limits(wallet)).credits_used_today == 40


async def test_fifty_at_once_do_not_pass_the_cap(wallet: Client):
    await limits(wallet, daily_credits_max=70)
    answers = await asyncio.gather(*(hold(wallet, 10) for _ in range(50)), return_exceptions=True)
    assert sum(isinstance(answer, str) for answer in answers) == 7
    codes = {answer.code() for answer in answers if isinstance(answer, grpc.aio.AioRpcError)}
    assert codes == {grpc.StatusCode.FAILED_PRECONDITION}
    assert (await limits(wallet)).credits_used_today == 70
    assert await wallet.balances() == (930, 70, 0)


async def test_a_hold_that_is_refused_or_repeated_is_not_counted(wallet: Client):
    await limits(wallet, daily_credits_max=2000)
    assert await reason(hold(wallet, 1001)) == "INSUFFICIENT_CREDITS"
    hold_id = await hold(wallet, 10)
    # The same is asked again, by one who says where it goes now.
    await wallet("Hold", hold_id=hold_id, amount=10, destinations=["+306"])
    assert (await limits(wallet)).credits_used_today == 10


async def test_countries_that_are_not_allowed_are_not_texted(wallet: Client, mesh: Any):
    await limits(wallet, calling_codes=["+30", "+357"])
    await hold(wallet, 1, "+306", "+357")
    assert await refused(hold(wallet, 1, "+306", "+121")) == ("COUNTRY_NOT_ALLOWED", {"destinations": "+121"})
    assert await reason(hold(wallet, 1)) == "COUNTRY_NOT_ALLOWED"
    async with policy(mesh, calling_codes=["+30"]):
        assert await reason(hold(wallet, 1, "+357")) == "COUNTRY_NOT_ALLOWED"
        await hold(wallet, 1, "+306")
    await hold(wallet, 1, "+357")


async def test_the_brake_holds_for_all_and_is_remembered(wallet: Client, mesh: Any):
    held = await hold(wallet, 10)
    async with policy(mesh, braked=True, reason="fraud") as shown:
        assert (shown.braked, shown.reason) == (True, "fraud")
        assert await reason(hold(wallet, 1)) == "SPENDING_BRAKED"
        # What is on its way is settled.
        await wallet.settle(held, "a", capture=10)
    await hold(wallet, 1)
    peer = await mesh.service("wallet")
    changes = await CatalogueServiceStub(peer.channel).ListCatalogueChanges(
        catalogue.ListCatalogueChangesRequest(page_size=2), metadata=peer.metadata(role="operator"), timeout=20
    )
    assert [(each.operator_id, each.resource) for each in changes.changes] == [(OPERATOR, "spendPolicy")] * 2


async def test_a_policy_that_is_gone_brakes(wallet: Client, mesh: Any):
    async with WalletStore.open_pipeline(mesh.app("wallet").database) as store:
        await store.connection.execute(text("DELETE FROM spend_policy"))
        store.merchant_id = wallet.merchant_id
        assert (await store.means(1, datetime.now(UTC))).braked
        await store.driver.rollback()


async def test_a_low_balance_is_said_each_time_it_comes_to_be_one(wallet: Client, mesh: Any):
    await limits(wallet, low_balance_credits=900)
    for amount in (50, 60, 60):
        await hold(wallet, amount)
    await wallet.grant(100)
    await hold(wallet, 60)
    assert await low_balances(mesh, wallet.merchant_id, 2) == {(890, 900), (870, 900)}


async def low_balances(mesh: Any, merchant_id: str, count: int) -> set[tuple[int, int]]:
    """The first events that tell a merchant: what was left, and what it came to be less than."""
    stream = mesh.app("wallet").bus.stream
    listening = await stream.subscribe(f"event.{BalanceLow.DESCRIPTOR.full_name}", ordered_consumer=True)
    said: set[tuple[int, int]] = set()
    while len(said) < count:
        event = BalanceLow.FromString((await listening.next_msg(timeout=10)).data)
        if event.merchant_id == merchant_id:
            said.add((event.available, event.low_balance_credits))
    await listening.unsubscribe()
    return said
