"""Plans that are paid at Stripe: cycles, changes, ends, and payments that fail."""

import asyncio
from typing import Any

import grpc
import pytest

from astronote.wallet.v1 import billing_pb2 as pb
from astronote.wallet.v1.wallet_pb2 import Subscription
from services.wallet.store import WalletStore
from tests.conftest import TestMesh
from tests.wallet.buyer import Buyer
from tests.wallet.client import new_id, reason

MONTH_DAYS, YEAR_DAYS = 31, 366


async def plan(buyer: Buyer) -> tuple[str, str, str, bool]:
    """What the wallet shows of it."""
    shown = (await buyer("GetWallet", "gateway")).subscription
    return shown.plan, Subscription.State.Name(shown.state), shown.next_plan, shown.ends_with_period


async def declines(buyer: Buyer, is_declined: bool) -> None:
    await buyer.till.control("cards", customer=await buyer.customer(), declines=is_declined)


async def advance(buyer: Buyer, days: int) -> None:
    await buyer.till.control("advance", days=days)
    await buyer.hear()


async def cycles(buyer: Buyer) -> list[tuple[int, int]]:
    """What was paid for the plan in cents and what it brought, newest first."""
    return [(each.total_cents, each.credited) for each in (await buyer.bill("ListPurchases")).purchases]


async def test_each_paid_cycle_brings_its_credits_once(buyer: Buyer):
    page = await buyer.subscribe("starter")
    assert (await plan(buyer))[1] == "NONE"
    await buyer.till.press(page.url)
    await buyer.hear()
    assert await plan(buyer) == ("starter", "ACTIVE", "", False)
    assert await buyer.shown() == (100, 0)
    assert (await buyer("GetWallet")).granted == 100
    assert (await buyer("GetEntitlement")).campaigns
    await advance(buyer, MONTH_DAYS)
    await advance(buyer, MONTH_DAYS)
    assert await buyer.shown() == (300, 0)
    assert await cycles(buyer) == [(4000, 100)] * 3
    paid = await buyer.purchase(page.purchase_id)
    assert (paid.kind, paid.item, paid.state) == (pb.Purchase.CYCLE, "starter", pb.Purchase.PAID)
    # The same events all over again.
    events = await buyer.events()
    await buyer.hear(events)
    assert await buyer.shown() == (300, 0)


async def test_an_upgrade_is_paid_in_proportion_and_brings_what_the_cycle_has_more(buyer: Buyer):
    await buyer.begin_plan("starter")
    shown = await buyer.bill("ChangeSubscription", plan="pro")
    assert (shown.plan, shown.state) == ("pro", Subscription.ACTIVE)
    await buyer.hear()
    assert await buyer.shown() == (500, 0)
    assert await cycles(buyer) == [(20000, 400), (4000, 100)]
    await buyer.bill("ChangeSubscription", plan="pro")
    await buyer.hear()
    assert await buyer.shown() == (500, 0)
    await advance(buyer, YEAR_DAYS)
    assert await buyer.shown() == (1000, 0)
    assert (await cycles(buyer))[0] == (24000, 500)
    taxes = [each.vat_cents for each in (await buyer.bill("ListPurchases")).purchases]
    assert taxes == [4645, 3871, 774]


async def test_upgrades_at_once_are_one(buyer: Buyer):
    await buyer.begin_plan("starter")
    answers = await asyncio.gather(
        *(buyer.bill("ChangeSubscription", plan="pro") for _ in range(5)), return_exceptions=True
    )
    assert any(isinstance(answer, Subscription) for answer in answers)
    await buyer.hear()
    assert await buyer.shown() == (500, 0)
    assert len(await cycles(buyer)) == 2


async def test_an_upgrade_with_a_declined_card_changes_nothing(buyer: Buyer):
    await buyer.begin_plan("starter")
    await declines(buyer, True)
    assert await reason(buyer.bill("ChangeSubscription", plan="pro")) == "PAYMENT_FAILED"
    await buyer.hear()
    assert await plan(buyer) == ("starter", "ACTIVE", "", False)
    assert await buyer.shown() == (100, 0)
    await declines(buyer, False)
    assert (await buyer.bill("ChangeSubscription", plan="pro")).plan == "pro"


async def test_a_downgrade_comes_with_the_end_of_the_cycle_and_can_be_taken_back(buyer: Buyer):
    await buyer.begin_plan("pro")
    for _ in range(2):
        shown = await buyer.bill("ChangeSubscription", plan="starter")
        assert (shown.plan, shown.next_plan) == ("pro", "starter")
    assert (await buyer.bill("ChangeSubscription", plan="pro")).next_plan == ""
    await buyer.bill("ChangeSubscription", plan="starter")
    await advance(buyer, YEAR_DAYS)
    assert await plan(buyer) == ("starter", "ACTIVE", "", False)
    assert await cycles(buyer) == [(4000, 100), (24000, 500)]
    assert await buyer.shown() == (600, 0)


async def test_a_cancelled_plan_ends_with_its_cycle_and_can_be_taken_back(buyer: Buyer):
    await buyer.begin_plan("starter")
    for _ in range(2):
        shown = await buyer.bill("CancelSubscription")
        assert (shown.state, shown.ends_with_period) == (Subscription.ACTIVE, True)
    assert not (await buyer.bill("ChangeSubscription", plan="starter")).ends_with_period
    await buyer.bill("CancelSubscription")
    await advance(buyer, MONTH_DAYS)
    assert (await plan(buyer))[:2] == ("starter", "CANCELED")
    assert not (await buyer("GetEntitlement")).campaigns
    assert await buyer.shown() == (100, 0)
    assert await reason(buyer.bill("CancelSubscription")) == "SUBSCRIPTION_NOT_FOUND"
    # And anew.
    await buyer.begin_plan("pro")
    assert await plan(buyer) == ("pro", "ACTIVE", "", False)
    assert await buyer.shown() == (600, 0)


async def test_a_payment_that_fails_is_past_due_until_it_is_paid_or_given_up(buyer: Buyer):
    await buyer.begin_plan("starter")
    await declines(buyer, True)
    await advance(buyer, MONTH_DAYS)
    assert (await plan(buyer))[1] == "PAST_DUE"
    assert (await buyer("GetEntitlement")).campaigns
    assert await buyer.shown() == (100, 0)
    assert (await cycles(buyer))[0] == (4000, 0)
    await declines(buyer, False)
    await advance(buyer, 1)
    assert (await plan(buyer))[1] == "ACTIVE"
    assert await buyer.shown() == (200, 0)
    await declines(buyer, True)
    await advance(buyer, MONTH_DAYS + 5)
    assert (await plan(buyer))[1] == "CANCELED"
    assert await buyer.shown() == (200, 0)


async def test_a_refunded_cycle_takes_its_credits_back(buyer: Buyer):
    page = await buyer.begin_plan("starter")
    events = await buyer.events()
    (payment,) = (event["data"]["object"]["id"] for event in events if event["type"] == "payment_intent.succeeded")
    await buyer.till.refund(payment, amount=1000)
    await buyer.hear()
    assert await buyer.shown() == (75, 0)
    assert (await buyer.purchase(page.purchase_id)).refunded_cents == 1000


async def test_a_merchant_has_one_plan(buyer: Buyer):
    request_id = new_id()
    first = await buyer.subscribe("starter", request_id=request_id)
    # Asked again, the same page is still open.
    assert await buyer.subscribe("starter", request_id=request_id) == first
    assert (await buyer.till.session(first.url)).status == "open"
    second = await buyer.subscribe("pro")
    # The page that was left open is closed by the next one, so that not both are paid.
    assert not await buyer.till.press(first.url)
    await buyer.till.press(second.url)
    await buyer.hear()
    assert await plan(buyer) == ("pro", "ACTIVE", "", False)
    assert (await buyer.purchase(first.purchase_id)).state == pb.Purchase.EXPIRED
    assert await reason(buyer.subscribe("starter")) == "SUBSCRIPTION_EXISTS"


async def test_of_pages_that_are_opened_at_once_one_can_be_paid(buyer: Buyer):
    answers = await asyncio.gather(*(buyer.subscribe("starter") for _ in range(5)), return_exceptions=True)
    pages = [answer for answer in answers if isinstance(answer, pb.CheckoutPage)]
    refusals = [str(answer.details()) for answer in answers if isinstance(answer, grpc.aio.AioRpcError)]
    assert all("opened after this one" in refusal for refusal in refusals)
    assert len(pages) + len(refusals) == 5
    open_pages = [page for page in pages if (await buyer.till.session(page.url)).status == "open"]
    begun = (await buyer.bill("ListPurchases")).purchases
    states = [pb.Purchase.State.Name(purchase.state) for purchase in begun]
    assert (len(open_pages), states) == (1, ["OPEN"] + ["EXPIRED"] * 4)
    assert open_pages[0].purchase_id == begun[0].id


async def test_who_was_interrupted_does_not_open_an_older_page(buyer: Buyer):
    """His purchase was begun, and Stripe did not answer; then he began another."""
    await buyer.checkout()
    first = new_id()
    # The wallet's own jobs meet some of them.
    await buyer.till.control("behaviour", failures=100)
    assert await reason(buyer.subscribe("starter", request_id=first)) == "STRIPE_AWAY"
    await buyer.till.control("behaviour", failures=0)
    second = await buyer.subscribe("pro")
    for _ in range(2):
        assert await reason(buyer.subscribe("starter", request_id=first)) == "CHECKOUT_SUPERSEDED"
    assert (await buyer.till.session(second.url)).status == "open"
    assert sum(purchase.state == pb.Purchase.OPEN for purchase in (await buyer.bill("ListPurchases")).purchases) == 2


@pytest.mark.parametrize(
    ("method", "fields", "refusal"),
    [
        ("ChangeSubscription", {"plan": "starter"}, "SUBSCRIPTION_NOT_FOUND"),
        ("ChangeSubscription", {"plan": "nothing"}, "PLAN_NOT_FOUND"),
        ("ChangeSubscription", {}, "FIELD_REQUIRED"),
        ("CancelSubscription", {}, "SUBSCRIPTION_NOT_FOUND"),
    ],
)
async def test_who_pays_for_no_plan_changes_none(buyer: Buyer, method: str, fields: dict[str, Any], refusal: str):
    assert await reason(buyer.bill(method, **fields)) == refusal


async def test_a_plan_that_was_given_is_followed_by_one_that_is_paid(mesh: TestMesh, buyer: Buyer):
    async with WalletStore.open(mesh.app("wallet").database, buyer.merchant_id) as store:
        await store.begin_subscription("starter")
    assert await plan(buyer) == ("starter", "ACTIVE", "", False)
    assert await reason(buyer.bill("CancelSubscription")) == "SUBSCRIPTION_NOT_FOUND"
    await buyer.begin_plan("pro")
    assert await plan(buyer) == ("pro", "ACTIVE", "", False)
