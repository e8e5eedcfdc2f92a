"""The RPCs by which merchants buy. No transaction is open while Stripe is asked."""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from astronote.wallet.v1 import billing_pb2 as pb
from astronote.wallet.v1 import billing_pb2_grpc as rpc
from astronote.wallet.v1.wallet_pb2 import Subscription
from kit import caller, pages
from kit.interceptors import Context
from kit.store import Database
from services.wallet import catalogue, changing, checkout
from services.wallet.bookkeeping import Bookkeeper
from services.wallet.checkout import Offer
from services.wallet.entitlement import Terms
from services.wallet.errors import (
    CheckoutSuperseded,
    CreditsInvalid,
    CurrencyUnknown,
    CustomerNotFound,
    PlanNotFound,
    SubscriptionExists,
    SubscriptionNotFound,
    SubscriptionRequired,
)
from services.wallet.looking import Looks
from services.wallet.merchants import Merchants
from services.wallet.reading import Cause, Object
from services.wallet.store import WalletStore
from services.wallet.stripe import Stripe

# Longer than a change takes, with all that Stripe is asked for it.
CHANGE_SECONDS = 60
OPEN_SESSIONS_MAX = 10
CheckoutRequest = pb.CheckoutRequest | pb.CheckoutSubscriptionRequest


@dataclass(frozen=True)
class Billing(rpc.BillingServiceServicer):
    database: Database
    merchants: Merchants
    stripe: Stripe
    looks: Looks
    books: Bookkeeper
    terms: Terms

    async def Checkout(self, request: pb.CheckoutRequest, context: Context) -> pb.CheckoutPage:
        async def offered(store: WalletStore, country: str) -> Offer:
            vat = await store.vat_rate(country)
            if not request.package_id:
                price = await store.top_up_price(request.currency)
                return checkout.of_credits(catalogue.of_top_up(price, request.credits, vat))
            package = await store.package(request.package_id)
            if request.credits:
                raise CreditsInvalid(field="credits", package_id=package.id)
            if request.currency not in ("", package.currency):
                raise CurrencyUnknown(field="currency", currency=request.currency)
            if not self.terms.is_entitled(await store.subscription(), datetime.now(UTC)):
                raise SubscriptionRequired
            return checkout.of_package(package, catalogue.of_package(package, vat))

        return await self._begun(request, offered)

    async def CheckoutSubscription(self, request: pb.CheckoutSubscriptionRequest, context: Context) -> pb.CheckoutPage:
        async def offered(store: WalletStore, country: str) -> Offer:
            offer = await _plan(store, request.plan, country)
            if await store.pays():
                raise SubscriptionExists
            return offer

        async with WalletStore.open(self.database, caller.merchant_id()) as store:
            is_again = await store.recalled(request, pb.CheckoutPage) is not None
        if not is_again:
            await self._close_sessions()
        page = await self._begun(request, offered)
        # Of calls at once each has begun before it looks here: the last to begin closes what the others have opened by
        # now, and these close what they open later.
        async with WalletStore.open(self.database, caller.merchant_id()) as store:
            newest = await store.newest_plan_purchase()
        await self._close_sessions(but=newest)
        if newest != page.purchase_id:
            raise CheckoutSuperseded
        return page

    async def ChangeSubscription(self, request: pb.ChangeSubscriptionRequest, context: Context) -> Subscription:
        merchant_id = caller.merchant_id()
        country = (await self.merchants.get(merchant_id)).country
        async with WalletStore.open(self.database, merchant_id) as store:
            offer = await _plan(store, request.plan, country)
        async with self._changing() as subscription:
            await changing.change(self.stripe, subscription, offer)
        return await self._subscription()

    async def CancelSubscription(self, request: pb.CancelSubscriptionRequest, context: Context) -> Subscription:
        async with self._changing() as subscription:
            await changing.cancel(self.stripe, subscription)
        return await self._subscription()

    async def OpenPortal(self, request: pb.OpenPortalRequest, context: Context) -> pb.Portal:
        checkout.check_url("return_url", request.return_url)
        async with WalletStore.open(self.database, caller.merchant_id()) as store:
            customer = await store.customer()
        if customer is None:
            raise CustomerNotFound
        return pb.Portal(url=await self.stripe.open_portal(customer, request.return_url))

    async def GetPurchase(self, request: pb.GetPurchaseRequest, context: Context) -> pb.Purchase:
        async with WalletStore.open(self.database, caller.merchant_id()) as store:
            return await store.purchase(request.id)

    async def ListPurchases(self, request: pb.ListPurchasesRequest, context: Context) -> pb.ListPurchasesResponse:
        limit, after = pages.size(request.page_size), pages.after(request.page_token, pages.number)
        async with WalletStore.open(self.database, caller.merchant_id()) as store:
            found = await store.purchases(after, limit)
        token = pages.token(found, limit, lambda item: item[0])
        return pb.ListPurchasesResponse(purchases=[shown for _, shown in found], next_page_token=token)

    async def _begun(
        self, request: CheckoutRequest, offered: Callable[[WalletStore, str], Awaitable[Offer]]
    ) -> pb.CheckoutPage:
        """The page of a purchase. The request's id leads to the purchase, and the purchase's to one page at Stripe, so
        that whoever was interrupted goes on by asking again.
        """
        for field in ("success_url", "cancel_url"):
            checkout.check_url(field, getattr(request, field))
        merchant_id, now = caller.merchant_id(), datetime.now(UTC)
        merchant = await self.merchants.get(merchant_id)
        customer = await self._customer(merchant_id, merchant.company)
        async with WalletStore.open(self.database, merchant_id) as store:
            page = await store.replayed(request, pb.CheckoutPage)
            if page is None:
                page, offer = pb.CheckoutPage(purchase_id=str(uuid.uuid4())), await offered(store, merchant.country)
                told = checkout.session(
                    offer, merchant_id, page.purchase_id, customer, request.success_url, request.cancel_url
                )
                await store.add_purchase(offer.purchase(page.purchase_id), told, now)
                await store.answered(request, page)
            told, page.url = await store.session(page.purchase_id)
        if not page.url:
            session = await self.stripe.open_session(page.purchase_id, told)
            page.url = session["url"]
            async with WalletStore.open(self.database, merchant_id) as store:
                await store.keep_session(page.purchase_id, session["id"], page.url)
        return page

    async def _customer(self, merchant_id: str, company: str) -> str:
        async with WalletStore.open(self.database, merchant_id) as store:
            customer = await store.customer()
        if customer is None:
            customer = await self.stripe.make_customer(merchant_id, company)
            async with WalletStore.open(self.database, merchant_id) as store:
                await store.keep_customer(customer)
        return customer

    async def _close_sessions(self, but: str = "") -> None:
        """Of two pages for a plan that are both paid the merchant would have two plans. `but` is of a purchase."""
        merchant_id = caller.merchant_id()
        async with WalletStore.open(self.database, merchant_id) as store:
            look, sessions = await store.look(), await store.open_cycle_sessions(but, OPEN_SESSIONS_MAX)
        for session in sessions:
            await self.stripe.close_session(session)
            await self.books.write(await self.looks.at(Cause("session", session)), look, datetime.now(UTC))

    @asynccontextmanager
    async def _changing(self) -> AsyncIterator[Object]:
        """The plan as Stripe has it, for one who changes it at a time: two at once would be invoiced twice.

        Refuses `SubscriptionNotFound`, `SubscriptionChanging`.
        """
        merchant_id, now = caller.merchant_id(), datetime.now(UTC)
        async with WalletStore.open(self.database, merchant_id) as store:
            id = await store.begin_change(now, now + timedelta(seconds=CHANGE_SECONDS))
            customer = await store.customer()
        try:
            found = await self.stripe.subscriptions(customer or "")
            subscription = next((each for each in found if each["id"] == id and each["status"] != "canceled"), None)
            if subscription is None:
                raise SubscriptionNotFound
            yield subscription
        finally:
            async with WalletStore.open(self.database, merchant_id) as store:
                await store.end_change(datetime.now(UTC))

    async def _subscription(self) -> Subscription:
        """As Stripe has it now; its events will say the same."""
        merchant_id = caller.merchant_id()
        async with WalletStore.open(self.database, merchant_id) as store:
            look, customer = await store.look(), await store.customer()
        findings = await self.looks.at(Cause("customer", customer or ""))
        await self.books.write(findings, look, datetime.now(UTC))
        async with WalletStore.open(self.database, merchant_id) as store:
            return await store.subscription()


async def _plan(store: WalletStore, id: str, country: str) -> Offer:
    """One that is sold. Refuses `PlanNotFound`."""
    plan = await store.plan(id)
    if not plan.listed:
        raise PlanNotFound(plan=id)
    return checkout.of_plan(plan, catalogue.of_plan(plan, await store.vat_rate(country)))
