"""Credits that are bought by themselves, at a Stripe: within the month's limit, once, and never with a card that was
declined a moment ago.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from astronote.accounts.v1 import accounts_pb2
from astronote.wallet.v1.billing_pb2 import Purchase
from services.wallet.bookkeeping import Bookkeeper
from services.wallet.looking import Looks
from services.wallet.merchants import Merchants
from services.wallet.store import WalletStore
from services.wallet.stripe import Stripe
from services.wallet.topping_up import TopUps
from services.wallet.welcome import Welcome
from tests.conftest import SETTINGS
from tests.wallet.buyer import Buyer
from tests.wallet.client import new_id, reason
from tests.wallet.test_spending import limits

# 1,000 credits with VAT.
PRICE_CENTS = 5580
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
async def top_ups(buyer: Buyer) -> AsyncIterator[TopUps]:
    async for each in made(buyer, SETTINGS["wallet"]["stripe_api_base"]):
        yield each


async def made(buyer: Buyer, stripe_base: str) -> AsyncIterator[TopUps]:
    app = buyer.mesh.app("wallet")
    stripe, peer = Stripe(SETTINGS["wallet"]["stripe_secret_key"], stripe_base), app.peer(accounts_pb2.DESCRIPTOR)
    yield TopUps(app.database, Merchants(peer), stripe, Looks(stripe), Bookkeeper(app.database, Welcome()))
    await stripe.close()
    await peer.channel.close()


@pytest.fixture
async def shop(buyer: Buyer) -> Buyer:
    """It has a plan, so a card at Stripe, and 100 credits; two top-ups a month are within its limit."""
    await buyer.mesh.service("wallet")
    await buyer.begin_plan("starter")
    await limits(buyer, low_balance_credits=500, top_up_credits=1000, top_up_monthly_cents_max=2 * PRICE_CENTS + 1)
    # The service's own job is not to be faster than a test.
    await put_off(buyer, timedelta(days=1))
    return buyer


async def put_off(buyer: Buyer, by: timedelta) -> None:
    async with WalletStore.open_pipeline(buyer.mesh.app("wallet").database) as store:
        await store.connection.execute(
            text("UPDATE spend_limits SET top_up_time = :time WHERE merchant_id = :id"),
            {"time": datetime.now(UTC) + by, "id": buyer.merchant_id},
        )


async def look(buyer: Buyer, top_ups: TopUps) -> list[Any]:
    """The merchant's time has come; what was bought by itself, oldest first, once nothing is open."""
    await put_off(buyer, -timedelta(seconds=1))
    await top_ups.step()
    async with asyncio.timeout(20):
        while any(each.state == Purchase.OPEN for each in await bought(buyer)):
            await asyncio.sleep(0.05)
    return await bought(buyer)


async def bought(buyer: Buyer) -> list[Any]:
    listed = (await buyer.bill("ListPurchases")).purchases
    return [each for each in reversed(listed) if each.automatic]


async def test_a_low_balance_buys_credits_within_the_months_limit(shop: Buyer, top_ups: TopUps):
    (first,) = await look(shop, top_ups)
    assert (first.state, first.kind, first.credits) == (Purchase.PAID, Purchase.TOP_UP, 1000)
    assert (first.total_cents, first.vat_cents) == (PRICE_CENTS, 1080)
    assert await shop.shown() == (1100, 0)
    # It is not low any more.
    assert len(await look(shop, top_ups)) == 1
    await shop("Hold", hold_id=new_id(), amount=1000)
    assert len(await look(shop, top_ups)) == 2
    assert await shop.shown() == (1100, 0)
    await shop("Hold", hold_id=new_id(), amount=1000)
    assert len(await look(shop, top_ups)) == 2
    assert await shop.shown() == (100, 0)
    # What Stripe says of it afterwards changes nothing.
    await shop.hear()
    assert await shop.shown() == (100, 0)


async def test_a_card_that_is_declined_is_left_alone_for_a_day(shop: Buyer, top_ups: TopUps):
    await shop.till.control("cards", customer=await shop.customer(), declines=True)
    (failed,) = await look(shop, top_ups)
    assert failed.state == Purchase.FAILED
    assert await shop.shown() == (100, 0)
    await top_ups.step()
    assert len(await bought(shop)) == 1


async def test_what_stripe_did_not_answer_is_gone_on_with_and_charged_once(shop: Buyer, top_ups: TopUps):
    async for nowhere in made(shop, NOWHERE):
        await put_off(shop, -timedelta(seconds=1))
        await nowhere.step()
    (begun,) = await bought(shop)
    assert begun.state == Purchase.OPEN
    (paid,) = await look(shop, top_ups)
    assert (paid.id, paid.state) == (begun.id, Purchase.PAID)
    assert await shop.shown() == (1100, 0)


async def test_what_is_open_for_a_day_is_not_charged_again(shop: Buyer, top_ups: TopUps):
    async for nowhere in made(shop, NOWHERE):
        await put_off(shop, -timedelta(seconds=1))
        await nowhere.step()
    async with WalletStore.open_pipeline(shop.mesh.app("wallet").database) as store:
        await store.connection.execute(
            text("UPDATE purchases SET create_time = now() - interval '1 day' WHERE merchant_id = :id AND automatic"),
            {"id": shop.merchant_id},
        )
        assert await store.oldest_top_up_seconds() >= 86_400
    await put_off(shop, -timedelta(seconds=1))
    await top_ups.step()
    (begun,) = await bought(shop)
    assert begun.state == Purchase.OPEN


async def test_a_refund_of_it_takes_the_credits_back(shop: Buyer, top_ups: TopUps):
    (paid,) = await look(shop, top_ups)
    payments = [event["data"]["object"] for event in await shop.events() if event["type"] == "payment_intent.succeeded"]
    (payment,) = (each["id"] for each in payments if each["metadata"].get("purchase_id") == paid.id)
    await shop.till.refund(payment)
    await shop.hear()
    assert await shop.shown() == (100, 0)


async def test_nothing_is_bought_for_who_did_not_ask_or_left_no_card(buyer: Buyer, top_ups: TopUps):
    await buyer.register()
    assert await reason(limits(buyer, top_up_credits=1000, low_balance_credits=5)) == "SPEND_LIMITS_INVALID"
    await limits(buyer, top_up_credits=1000, low_balance_credits=5, top_up_monthly_cents_max=10**6)
    assert await look(buyer, top_ups) == []
    await limits(buyer, top_up_credits=0)
    await buyer.begin_plan("starter")
    await limits(buyer, low_balance_credits=500)
    assert await look(buyer, top_ups) == []
