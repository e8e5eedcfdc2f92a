"""Statements over credits that are bought by themselves."""

from datetime import datetime

from sqlalchemy import func, select, text, update

from astronote.wallet.v1.billing_pb2 import Purchase
from kit import rows
from kit.store import Store
from services.wallet.tables import purchases, spend_limits

LIVE = (Purchase.OPEN, Purchase.PAID)
# Nobody else looks at these merchants before the time that is given.
TAKE = text("""
WITH low AS (
    SELECT l.merchant_id FROM spend_limits l JOIN wallets w ON w.merchant_id = l.merchant_id
    WHERE l.top_up_credits > 0 AND l.top_up_time <= :now AND w.available < l.low_balance_credits
    ORDER BY l.top_up_time LIMIT :limit FOR UPDATE OF l SKIP LOCKED
)
UPDATE spend_limits l SET top_up_time = :again FROM low WHERE l.merchant_id = low.merchant_id RETURNING l.merchant_id
""")


class TopUpStatements(Store):
    async def take_low_balances(self, now: datetime, again: datetime, limit: int) -> list[str]:
        """Merchants whose balance is low and who want credits to be bought. Over all of them."""
        found = await self.connection.execute(TAKE, {"now": now, "again": again, "limit": limit})
        return [str(id) for id in found.scalars()]

    async def open_top_up(self) -> Purchase | None:
        """One that was begun, and of which nobody knows how it ended."""
        mine = (purchases.c.merchant_id == self.merchant_id, purchases.c.automatic)
        query = select(*rows.columns(Purchase, purchases)).where(*mine, purchases.c.state == Purchase.OPEN).limit(1)
        row = (await self.connection.execute(query)).one_or_none()
        return rows.message(Purchase, row) if row else None

    async def topped_up_cents(self, since: datetime) -> int:
        mine = (purchases.c.merchant_id == self.merchant_id, purchases.c.automatic)
        query = select(func.coalesce(func.sum(purchases.c.total_cents), 0)).where(
            *mine, purchases.c.create_time >= since, purchases.c.state.in_(LIVE)
        )
        return int((await self.connection.execute(query)).scalar_one())

    async def fail_top_up(self, id: str, again: datetime) -> None:
        """The card was declined: it is not asked before the time that is given."""
        mine = (purchases.c.merchant_id == self.merchant_id, purchases.c.id == id)
        await self.connection.execute(update(purchases).where(*mine).values(state=Purchase.FAILED))
        limits = update(spend_limits).where(spend_limits.c.merchant_id == self.merchant_id)
        await self.connection.execute(limits.values(top_up_time=again))
