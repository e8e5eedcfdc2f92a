"""The whole ledger, counted again."""

from sqlalchemy import func, select, text

from astronote.wallet.v1.billing_pb2 import Purchase
from astronote.wallet.v1.wallet_pb2 import HoldRecord
from kit.store import Store
from services.wallet.tables import holds, purchases, wallets

# What must never be: one snapshot of the whole ledger, held against itself.
RECOUNT = text("""
WITH replayed AS (
    SELECT merchant_id,
           coalesce(sum(amount) FILTER (WHERE account = 'available'), 0) AS available,
           coalesce(sum(amount) FILTER (WHERE account = 'held'), 0) AS held,
           coalesce(sum(amount) FILTER (WHERE account = 'spent'), 0) AS spent,
           -coalesce(sum(amount) FILTER (WHERE account = 'granted'), 0) AS granted,
           -coalesce(sum(amount) FILTER (WHERE account = 'purchased'), 0) AS purchased,
           -coalesce(sum(amount) FILTER (WHERE account = 'debt'), 0) AS debt
    FROM entries GROUP BY merchant_id
), unbalanced AS (
    SELECT FROM entries GROUP BY merchant_id, journal_id HAVING sum(amount) <> 0
), wrong AS (
    SELECT FROM wallets w FULL JOIN replayed r USING (merchant_id)
    WHERE (coalesce(w.available, 0), coalesce(w.held, 0), coalesce(w.spent, 0),
           coalesce(w.granted, 0), coalesce(w.purchased, 0), coalesce(w.debt, 0))
       <> (coalesce(r.available, 0), coalesce(r.held, 0), coalesce(r.spent, 0),
           coalesce(r.granted, 0), coalesce(r.purchased, 0), coalesce(r.debt, 0))
), drifted AS (
    SELECT FROM holds h
    LEFT JOIN (
        SELECT j.merchant_id, j.hold_id,
               sum(amount) FILTER (WHERE account = 'held') AS held,
               sum(amount) FILTER (WHERE account = 'spent') AS spent
        FROM journals j JOIN entries e ON e.merchant_id = j.merchant_id AND e.journal_id = j.id
        WHERE j.hold_id IS NOT NULL GROUP BY j.merchant_id, j.hold_id
    ) b ON b.merchant_id = h.merchant_id AND b.hold_id = h.id
    WHERE (h.amount - h.captured - h.released, h.captured) <> (coalesce(b.held, 0), coalesce(b.spent, 0))
)
SELECT (SELECT count(*) FROM unbalanced) + (SELECT count(*) FROM wrong) + (SELECT count(*) FROM drifted)
""")

# Any number that no other advisory lock of this database uses.
RECOUNT_LOCK = 1


class AuditStatements(Store):
    async def may_recount(self) -> bool:
        """False while another replica counts; until the commit nobody else may."""
        return bool(await self.connection.scalar(select(func.pg_try_advisory_xact_lock(RECOUNT_LOCK))))

    async def balances(self) -> dict[str, int]:
        """The sum of each balance. Over all merchants."""
        names = ("available", "held", "spent", "granted", "purchased")
        sums = (func.coalesce(func.sum(wallets.c[name]), 0).label(name) for name in names)
        return {
            name: int(credits)
            for name, credits in (await self.connection.execute(select(*sums))).one()._mapping.items()
        }

    async def open_holds(self) -> tuple[int, float]:
        """How many, and the age of the oldest in seconds. Over all merchants."""
        age = func.extract("epoch", func.now() - func.min(holds.c.create_time))
        query = select(func.count(), func.coalesce(age, 0)).where(holds.c.state == HoldRecord.OPEN)
        count, seconds = (await self.connection.execute(query)).one()
        return int(count), float(seconds)

    async def oldest_top_up_seconds(self) -> float:
        """The age of the oldest automatic purchase that is open; 0 where none is. Over all merchants."""
        age = func.extract("epoch", func.now() - func.min(purchases.c.create_time))
        query = select(func.coalesce(age, 0)).where(purchases.c.automatic, purchases.c.state == Purchase.OPEN)
        return float((await self.connection.execute(query)).scalar_one())

    async def discrepancies(self) -> int:
        """Wallets, journals and holds that a replay of the entries contradicts. Over all merchants."""
        return int((await self.connection.execute(RECOUNT)).scalar_one())
