"""Buying: what a page, an event and Stripe's answer do to a wallet, through the contract and Stripe's own client."""

import asyncio

import grpc
import pytest
from sqlalchemy import text

from astronote.wallet.v1 import billing_pb2 as pb
from astronote.wallet.v1 import wallet_pb2
from services.wallet.store import WalletStore
from tests.conftest import TestMesh
from tests.wallet.buyer import URLS, Buyer, code
from tests.wallet.client import new_id, reason, refused
from tests.wallet.test_spending import limits, low_balances


async def test_credits_are_there_once_stripe_says_that_they_are_paid(buyer: Buyer):
    page = await buyer.checkout(1000)
    found = await buyer.purchase(page.purchase_id)
    assert (found.state, found.credits, found.currency) == (pb.Purchase.OPEN, 1000, "EUR")
    assert (found.total_cents, found.vat_cents, found.credited) == (5580, 1080, 0)
    session = await buyer.till.session(page.url)
    assert (session.amount_total, session.currency, session.mode) == (5580, "eur", "payment")
    assert await buyer.till.press(page.url) == URLS["success_url"]
    assert await buyer.shown() == (0, 0)
    await buyer.hear()
    assert await buyer.shown() == (1000, 0)
    found = await buyer.purchase(page.purchase_id)
    assert (found.state, found.credited, found.HasField("pay_time")) == (pb.Purchase.PAID, 1000, True)
    (booked,) = (await buyer("ListTransactions", "gateway")).transactions
    assert (booked.kind, booked.available_change) == (wallet_pb2.Transaction.PURCHASE, 1000)
    assert (await buyer("GetWallet")).purchased == 1000
    (listed,) = (await buyer.bill("ListPurchases")).purchases
    assert listed == found


async def test_the_same_request_leads_to_the_same_page_and_another_body_is_refused(buyer: Buyer):
    request_id = new_id()
    pages = await asyncio.gather(*(buyer.checkout(500, request_id=request_id) for _ in range(5)))
    assert all(page == pages[0] for page in pages)
    assert len((await buyer.bill("ListPurchases")).purchases) == 1
    assert await reason(buyer.checkout(501, request_id=request_id)) == "IDEMPOTENCY_KEY_REUSED"


async def test_who_was_interrupted_by_an_outage_goes_on_with_the_same_request(buyer: Buyer):
    request_id = new_id()
    await buyer.till.control("behaviour", failures=100)
    refusal, metadata = await refused(buyer.checkout(500, request_id=request_id))
    assert (refusal, metadata) == ("STRIPE_AWAY", {"problem": "APIError"})
    await buyer.till.control("behaviour", failures=0)
    page = await buyer.checkout(500, request_id=request_id)
    assert page.url
    assert [each.id for each in (await buyer.bill("ListPurchases")).purchases] == [page.purchase_id]


@pytest.mark.parametrize(
    ("fields", "refusal", "field"),
    [
        ({"credits": 0}, "CREDITS_INVALID", "credits"),
        ({"credits": -5}, "CREDITS_INVALID", "credits"),
        ({"credits": 1_000_001}, "CREDITS_INVALID", "credits"),
        ({"credits": 1}, "TOTAL_TOO_SMALL", "credits"),
        ({"currency": "XXX"}, "CURRENCY_UNKNOWN", "currency"),
        ({"success_url": "http://shop.test"}, "URL_INVALID", "success_url"),
        ({"success_url": "javascript:alert(1)"}, "URL_INVALID", "success_url"),
        ({"cancel_url": "https://" + "a" * 2000}, "URL_INVALID", "cancel_url"),
        ({"cancel_url": "https://[broken"}, "URL_INVALID", "cancel_url"),
        ({"cancel_url": ""}, "FIELD_REQUIRED", "cancel_url"),
    ],
)
async def test_what_can_not_be_bought_names_the_field(
    buyer: Buyer, fields: dict[str, object], refusal: str, field: str
):
    found, metadata = await refused(buyer.checkout(**fields))
    assert (found, metadata["field"]) == (refusal, field)


async def test_packages_are_for_merchants_with_a_plan(buyer: Buyer):
    package = {"package_id": "credits-1000", "credits": 0, "currency": ""}
    assert await reason(buyer.checkout(**package)) == "SUBSCRIPTION_REQUIRED"
    assert await reason(buyer.checkout(**package | {"package_id": "nothing"})) == "PACKAGE_NOT_FOUND"
    await buyer.begin_plan("starter")
    assert await reason(buyer.checkout(**package | {"currency": "USD"})) == "CURRENCY_UNKNOWN"
    assert await reason(buyer.checkout(**package | {"credits": 5})) == "CREDITS_INVALID"
    page = await buyer.checkout(**package)
    await buyer.till.press(page.url)
    await buyer.hear()
    assert await buyer.shown() == (1100, 0)
    assert (await buyer.purchase(page.purchase_id)).item == "credits-1000"


async def test_a_declined_card_and_a_page_that_nobody_pays_credit_nothing(buyer: Buyer):
    page = await buyer.checkout()
    await buyer.till.press(page.url, "fail")
    assert await buyer.till.press(page.url, "cancel") == URLS["cancel_url"]
    await buyer.hear()
    assert (await buyer.purchase(page.purchase_id)).state == pb.Purchase.OPEN
    await buyer.till.api.checkout.sessions.expire_async((await buyer.till.session(page.url)).id)
    await buyer.hear()
    assert (await buyer.purchase(page.purchase_id)).state == pb.Purchase.EXPIRED
    assert await buyer.shown() == (0, 0)


@pytest.mark.parametrize(("succeeded", "state", "credits"), [(True, "PAID", 1000), (False, "FAILED", 0)])
async def test_a_payment_that_takes_days_credits_when_it_came(buyer: Buyer, succeeded: bool, state: str, credits: int):
    page = await buyer.checkout()
    session = await buyer.till.session(page.url)
    await buyer.till.press(page.url, "pay-later")
    await buyer.hear()
    assert (await buyer.purchase(page.purchase_id)).state == pb.Purchase.OPEN
    await buyer.till.control("settle", session=session.id, succeeded=succeeded)
    await buyer.hear()
    assert (await buyer.purchase(page.purchase_id)).state == pb.Purchase.State.Value(state)
    assert await buyer.shown() == (credits, 0)


async def test_what_was_spent_and_is_refunded_becomes_a_debt_that_blocks_sending(buyer: Buyer):
    page = await buyer.checkout(1000)
    await buyer.till.press(page.url)
    await buyer.hear()
    payment = (await buyer.till.session(page.url)).id
    payment = (await buyer.till.api.checkout.sessions.retrieve_async(payment)).payment_intent
    await limits(buyer, low_balance_credits=150)
    hold_id = new_id()
    await buyer("Hold", hold_id=hold_id, amount=800)
    await buyer.settle(hold_id, "a", capture=700)
    # A quarter, and then all of the rest.
    await buyer.till.refund(payment, amount=1395)
    await buyer.hear()
    assert await buyer.shown() == (0, 50)
    assert (await buyer.purchase(page.purchase_id)).credited == 750
    assert await low_balances(buyer.mesh, buyer.merchant_id, 1) == {(0, 150)}
    await buyer.till.refund(payment)
    await buyer.hear()
    assert await buyer.shown() == (0, 800)
    assert await reason(buyer("Hold", hold_id=new_id(), amount=1)) == "INSUFFICIENT_CREDITS"
    await buyer("CloseHold", hold_id=hold_id, captured=700)
    assert await buyer.shown() == (0, 700)
    found = await buyer.purchase(page.purchase_id)
    assert (found.refunded_cents, found.credited) == (5580, 0)
    more = await buyer.checkout(1000)
    await buyer.till.press(more.url)
    await buyer.hear()
    assert await buyer.shown() == (300, 0)


async def test_a_dispute_freezes_the_credits_until_it_is_decided(buyer: Buyer):
    page = await buyer.checkout(1000)
    await buyer.till.press(page.url)
    payment = (await buyer.till.session(page.url)).payment_intent
    for status, credits in (("won", 1000), ("lost", 500)):
        dispute = await buyer.till.control("dispute", payment_intent=payment, amount=2790)
        await buyer.hear()
        assert await buyer.shown() == (500, 0)
        assert (await buyer.purchase(page.purchase_id)).disputed_cents == 2790
        await buyer.till.control("disputes:close", dispute=dispute["id"], status=status)
        await buyer.hear()
        assert await buyer.shown() == (credits, 0)
    kinds = [one.kind for one in (await buyer("ListTransactions", "gateway")).transactions]
    assert kinds == [wallet_pb2.Transaction.DISPUTE] * 3 + [wallet_pb2.Transaction.PURCHASE]


async def test_a_cent_short_is_not_paid(buyer: Buyer):
    """Somebody has made a session of their own, with our purchase's id and another price."""
    page = await buyer.checkout(1000)
    ours = await buyer.till.session(page.url)
    line = {"currency": "eur", "unit_amount": 5579, "product_data": {"name": "1,000 credits"}}
    forged = await buyer.till.api.checkout.sessions.create_async(
        params={
            "mode": "payment",
            "customer": ours.customer,
            "line_items": [{"quantity": 1, "price_data": line}],
            "metadata": ours.metadata.to_dict(),
            **URLS,
        }
    )
    await buyer.till.press(forged.url)
    await buyer.hear()
    assert (await buyer.purchase(page.purchase_id)).state == pb.Purchase.DISCREPANT
    assert await buyer.shown() == (0, 0)


async def test_another_merchants_purchase_is_not_there(buyer: Buyer, mesh: TestMesh):
    page = await buyer.checkout()
    other = Buyer(mesh, buyer.till, new_id())
    for id in (page.purchase_id, "", "x"):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await other.purchase(id)
        assert code(raised.value) in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT)
    assert not (await other.bill("ListPurchases")).purchases


async def test_the_portal_is_for_those_who_have_bought(buyer: Buyer):
    assert await reason(buyer.bill("OpenPortal", return_url=URLS["success_url"])) == "CUSTOMER_NOT_FOUND"
    assert await reason(buyer.bill("OpenPortal", return_url="ftp://x")) == "URL_INVALID"
    await buyer.checkout()
    assert (await buyer.bill("OpenPortal", return_url=URLS["success_url"])).url.startswith("http")


@pytest.mark.parametrize("goods", [{"credits": 1000}, {"credits": 0, "package_id": "credits-5000"}])
async def test_what_we_have_forgotten_is_bought_all_the_same(buyer: Buyer, goods: dict[str, object]):
    """As after the database went back to a point in time: Stripe says what was paid, and what for."""
    await buyer.begin_plan("starter")
    before, _ = await buyer.shown()
    page = await buyer.checkout(**goods)
    agreed = await buyer.purchase(page.purchase_id)
    await buyer.till.press(page.url)
    async with WalletStore.open_pipeline(buyer.mesh.app("wallet").database) as store:
        await store.connection.execute(text("DELETE FROM purchases WHERE id = :id"), {"id": page.purchase_id})
    assert await reason(buyer.purchase(page.purchase_id)) == "PURCHASE_NOT_FOUND"
    await buyer.hear()
    found = await buyer.purchase(page.purchase_id)
    assert (found.state, found.credited) == (pb.Purchase.PAID, agreed.credits)
    names = ("kind", "item", "credits", "currency", "total_cents", "vat_cents")
    assert [getattr(found, name) for name in names] == [getattr(agreed, name) for name in names]
    assert await buyer.shown() == (before + agreed.credits, 0)
