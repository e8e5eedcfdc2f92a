"""Buys credits by itself for merchants who asked for it, with the card that pays their plan, when the balance is low.

A merchant is looked at once in `AGAIN`, and again only in a day after the card was declined. The purchase is written
before Stripe is told of it, under its own id, so that whatever dies in between is gone on with, and charged once.
"""

import asyncio
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from astronote.wallet.v1.billing_pb2 import Purchase
from astronote.wallet.v1.guards_pb2 import SpendLimits
from kit.store import Database
from services.wallet import catalogue, checkout
from services.wallet.bookkeeping import Bookkeeper
from services.wallet.errors import PaymentFailed, StripeAway, TotalTooSmall
from services.wallet.looking import Looks
from services.wallet.merchants import Merchants
from services.wallet.reading import Cause
from services.wallet.store import WalletStore
from services.wallet.stripe import Stripe

INTERVAL_SECONDS = 15.0
MERCHANTS_A_ROUND = 20
AGAIN, AFTER_A_DECLINE = timedelta(minutes=10), timedelta(days=1)
# Stripe forgets an idempotency key after a day: what is open for longer is not asked for again, it may be paid.
KEY_LIFE = timedelta(hours=23)
# Of the monthly limit.
CURRENCY = "EUR"
log = structlog.get_logger()


@dataclass(frozen=True)
class TopUps:
    database: Database
    merchants: Merchants
    stripe: Stripe
    looks: Looks
    books: Bookkeeper

    async def step(self) -> bool:
        now = datetime.now(UTC)
        async with WalletStore.open_pipeline(self.database) as store:
            merchant_ids = await store.take_low_balances(now, now + AGAIN, MERCHANTS_A_ROUND)
        ends = await asyncio.gather(*(self._top_up(each, now) for each in merchant_ids), return_exceptions=True)
        for end in ends:
            if isinstance(end, BaseException) and not isinstance(end, StripeAway):
                raise end
        return bool(merchant_ids)

    async def _top_up(self, merchant_id: str, now: datetime) -> None:
        country = (await self.merchants.get(merchant_id)).country
        async with WalletStore.open(self.database, merchant_id) as store:
            customer, purchase = await store.customer(), await store.open_top_up()
            if customer is None or (purchase and purchase.create_time.ToDatetime(tzinfo=UTC) < now - KEY_LIFE):
                return
            if purchase is None and (purchase := await _affordable(store, country, now)):
                await store.add_purchase(purchase, {}, now)
        if purchase is None:
            return
        try:
            payment = await self.stripe.charge(customer, purchase, merchant_id)
        except (PaymentFailed, TotalTooSmall) as error:
            log.warning("top-up failed", merchant_id=merchant_id, purchase_id=purchase.id, reason=error.reason())
            async with WalletStore.open(self.database, merchant_id) as store:
                await store.fail_top_up(purchase.id, now + AFTER_A_DECLINE)
            return
        async with WalletStore.open(self.database, merchant_id) as store:
            look = await store.look()
        await self.books.write(await self.looks.at(Cause("payment", payment)), look, now)


async def _affordable(store: WalletStore, country: str, now: datetime) -> Purchase | None:
    """What the merchant's limits let us buy now."""
    limits, price = await store.spend_limits(now), await store.top_up_price(CURRENCY)
    charge = catalogue.of_top_up(price, limits.top_up_credits, await store.vat_rate(country))
    month = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    if not is_within(limits, await store.topped_up_cents(month), charge.total_cents):
        log.info("top-up limit", merchant_id=store.merchant_id)
        return None
    purchase = checkout.of_credits(charge).purchase(str(uuid.uuid4()))
    purchase.automatic = True
    return purchase


def is_within(limits: SpendLimits, paid_cents: int, total_cents: int) -> bool:
    """Whether the month has room for so much more; without a limit it has none."""
    return paid_cents + total_cents <= limits.top_up_monthly_cents_max
