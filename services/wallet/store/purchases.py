"""Statements over what was bought, and who a merchant is at Stripe."""

from dataclasses import asdict
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert

from astronote.wallet.v1.billing_pb2 import Purchase
from kit import rows
from kit.store import Store
from services.wallet.crediting import Standing
from services.wallet.errors import PurchaseNotFound
from services.wallet.reading import Payment, Sold
from services.wallet.store import numbered
from services.wallet.tables import customers, purchases

CREDITED = (purchases.c.gained - purchases.c.refunded - purchases.c.disputed).label("credited")
STANDING = ("gained", "refunded", "disputed")
SHOWN = (*rows.columns(Purchase, purchases), CREDITED)


class Kept(NamedTuple):
    """A purchase as its bookkeeping needs it; `look` is the number of the look that it shows."""

    id: str
    kind: "Purchase.Kind.ValueType"
    item: str
    credits: int
    currency: str
    total_cents: int
    standing: Standing
    look: int


class PurchaseStatements(Store):
    async def customer(self) -> str | None:
        """The merchant's id at Stripe."""
        query = select(customers.c.id).where(customers.c.merchant_id == self.merchant_id)
        found: str | None = await self.connection.scalar(query)
        return found

    async def keep_customer(self, id: str) -> None:
        """Unless there is one."""
        row = {"merchant_id": self.merchant_id, "id": id}
        await self.connection.execute(insert(customers).values(row).on_conflict_do_nothing())

    async def add_purchase(self, purchase: Purchase, session: dict[str, Any], now: datetime) -> None:
        """One that a merchant begins; `session` is what Stripe is told, each time that it is told."""
        row = rows.values(purchase, purchases) | {"merchant_id": self.merchant_id, "session": session}
        await self.connection.execute(insert(purchases).values(row | {"create_time": now}))

    async def add_sold(self, payment: Payment, sold: Sold, now: datetime) -> None:
        """One that Stripe knows of, unless it is there."""
        row = {
            "merchant_id": self.merchant_id,
            "id": payment.purchase_id,
            "kind": sold.kind,
            "item": sold.item,
            "credits": sold.credits,
            "currency": payment.currency,
            "total_cents": payment.total_cents,
            "vat_cents": sold.vat_cents,
            "state": Purchase.OPEN,
            "create_time": now,
        }
        await self.connection.execute(insert(purchases).values(row).on_conflict_do_nothing())

    async def session(self, id: str) -> tuple[dict[str, Any], str]:
        """What Stripe is told of a purchase, and its page; none yet where that is empty. Refuses `PurchaseNotFound`."""
        query = select(purchases.c.session, purchases.c.url).where(*self._purchase(id))
        row = (await self.connection.execute(query)).one_or_none()
        if row is None:
            raise PurchaseNotFound(id=id)
        return row.session, row.url

    async def keep_session(self, id: str, session_id: str, url: str) -> None:
        opened = update(purchases).where(*self._purchase(id)).values(session_id=session_id, url=url)
        await self.connection.execute(opened)

    async def open_cycle_sessions(self, but: str, limit: int) -> list[str]:
        """Pages on which a plan could still be paid, of those that Stripe knows, without that of the purchase `but`."""
        is_open = (purchases.c.kind == Purchase.CYCLE, purchases.c.state == Purchase.OPEN)
        query = select(purchases.c.session_id).where(
            purchases.c.merchant_id == self.merchant_id, *is_open, purchases.c.session_id.is_not(None)
        )
        if but:
            query = query.where(purchases.c.id != but)
        return list((await self.connection.execute(query.limit(limit))).scalars())

    async def newest_plan_purchase(self) -> str:
        """The last by which the merchant began a plan."""
        begun = (purchases.c.kind == Purchase.CYCLE, purchases.c.session.is_not(None))
        query = select(purchases.c.id).where(purchases.c.merchant_id == self.merchant_id, *begun)
        found: str = (await self.connection.execute(query.order_by(purchases.c.number.desc()).limit(1))).scalar_one()
        return found

    async def purchase(self, id: str) -> Purchase:
        """Refuses `PurchaseNotFound`."""
        row = (await self.connection.execute(select(*SHOWN).where(*self._purchase(id)))).one_or_none()
        if row is None:
            raise PurchaseNotFound(id=id)
        return rows.message(Purchase, row)

    async def purchases(self, after: int | None, limit: int) -> list[tuple[int, Purchase]]:
        """With their numbers, newest first."""
        query = numbered.page(select(purchases.c.number, *SHOWN), purchases, self.merchant_id, after, limit)
        return [numbered.message(Purchase, row) for row in await self.connection.execute(query)]

    async def locked_purchase(self, id: str) -> Kept:
        """Locked until the commit; before any hold or wallet. Refuses `PurchaseNotFound`."""
        told = (*(name for name in Kept._fields if name in purchases.c), *STANDING)
        query = select(*(purchases.c[name] for name in told)).where(*self._purchase(id)).with_for_update()
        row = (await self.connection.execute(query)).one_or_none()
        if row is None:
            raise PurchaseNotFound(id=id)
        found = row._asdict()
        return Kept(standing=Standing(*(found.pop(name) for name in STANDING)), **found)

    async def change_purchase(
        self, payment: Payment, state: "Purchase.State.ValueType", standing: Standing, look: int
    ) -> None:
        values = asdict(standing) | {"state": state, "look": look, "pay_time": payment.pay_time}
        values |= {"refunded_cents": payment.refunded_cents, "disputed_cents": payment.disputed_cents}
        await self.connection.execute(update(purchases).where(*self._purchase(payment.purchase_id)).values(values))

    def _purchase(self, id: str) -> tuple[Any, ...]:
        return purchases.c.merchant_id == self.merchant_id, purchases.c.id == rows.uuid(id, PurchaseNotFound)
