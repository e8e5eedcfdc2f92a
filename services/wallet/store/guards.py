"""Statements over what bounds spending.

Locks: a merchant's limits come after its hold and before its wallet.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert

from astronote.wallet.v1.guards_pb2 import SpendLimits, SpendPolicy
from kit import rows
from kit.store import Store
from services.wallet.guards import Means
from services.wallet.tables import spend_limits, spend_policy

# One round trip for all that decides about a hold: it is counted in the merchant's day, where there are limits, and the
# wallet's row is locked until the commit. A policy that is gone brakes.
MEANS = text("""
WITH limited AS (
    UPDATE spend_limits l
    SET day = CAST(CAST(:now AS timestamptz) AT TIME ZONE l.time_zone AS date),
        used = :amount + CASE WHEN l.day = CAST(CAST(:now AS timestamptz) AT TIME ZONE l.time_zone AS date)
                              THEN l.used ELSE 0 END
    WHERE l.merchant_id = :merchant_id
    RETURNING l.calling_codes, l.daily_credits_max, l.used, l.low_balance_credits
)
SELECT w.available, w.debt, coalesce(p.braked, true) AS braked, coalesce(p.calling_codes, '{}') AS policy_codes,
       coalesce(l.calling_codes, '{}') AS calling_codes, coalesce(l.daily_credits_max, 0) AS daily_credits_max,
       coalesce(l.used, 0) AS used, coalesce(l.low_balance_credits, 0) AS low_balance_credits
FROM wallets w LEFT JOIN limited l ON true LEFT JOIN spend_policy p ON true
WHERE w.merchant_id = :merchant_id FOR UPDATE OF w
""")

# What was held today counts, whenever the limits were set.
SET_LIMITS = text("""
INSERT INTO spend_limits AS l
    (merchant_id, daily_credits_max, calling_codes, low_balance_credits, top_up_credits, top_up_monthly_cents_max,
     time_zone, day, used)
SELECT :merchant_id, :daily_credits_max, CAST(:calling_codes AS text[]), :low_balance_credits, :top_up_credits,
       :top_up_monthly_cents_max, :time_zone, today.day, (
    SELECT coalesce(sum(h.amount - h.released), 0) FROM holds h
    WHERE h.merchant_id = :merchant_id AND CAST(h.create_time AT TIME ZONE :time_zone AS date) = today.day
)
FROM (SELECT CAST(CAST(:now AS timestamptz) AT TIME ZONE :time_zone AS date) AS day) AS today
ON CONFLICT (merchant_id) DO UPDATE
SET daily_credits_max = excluded.daily_credits_max, calling_codes = excluded.calling_codes,
    low_balance_credits = excluded.low_balance_credits, top_up_credits = excluded.top_up_credits,
    top_up_monthly_cents_max = excluded.top_up_monthly_cents_max, time_zone = excluded.time_zone,
    day = excluded.day, used = excluded.used
""")

LIMITS = text("""
SELECT l.daily_credits_max, l.calling_codes, l.low_balance_credits, l.top_up_credits, l.top_up_monthly_cents_max,
       CASE WHEN l.day = CAST(CAST(:now AS timestamptz) AT TIME ZONE l.time_zone AS date)
            THEN l.used ELSE 0 END AS credits_used_today
FROM spend_limits l WHERE l.merchant_id = :merchant_id
""")


class GuardStatements(Store):
    async def means(self, amount: int, now: datetime) -> Means:
        """What a hold of so much is decided by. The wallet is locked until the commit."""
        values = {"merchant_id": self.merchant_id, "amount": amount, "now": now}
        return Means(**(await self.connection.execute(MEANS, values)).one()._mapping)

    async def spend_limits(self, now: datetime) -> SpendLimits:
        row = (await self.connection.execute(LIMITS, {"merchant_id": self.merchant_id, "now": now})).one_or_none()
        return rows.message(SpendLimits, row) if row else SpendLimits()

    async def lock_spend_limits(self) -> None:
        """Until the commit no hold is counted."""
        mine = spend_limits.c.merchant_id == self.merchant_id
        await self.connection.execute(select(spend_limits.c.day).where(mine).with_for_update())

    async def set_spend_limits(self, limits: SpendLimits, time_zone: str, now: datetime) -> None:
        values: dict[str, Any] = {"merchant_id": self.merchant_id, "time_zone": time_zone, "now": now}
        values |= rows.values(limits, spend_limits)
        await self.connection.execute(SET_LIMITS, values)

    async def spend_policy(self) -> SpendPolicy:
        row = (await self.connection.execute(select(*rows.columns(SpendPolicy, spend_policy)))).one_or_none()
        return rows.message(SpendPolicy, row) if row else SpendPolicy(braked=True)

    async def set_spend_policy(self, policy: SpendPolicy) -> None:
        values = rows.values(policy, spend_policy)
        put = insert(spend_policy).values(values).on_conflict_do_update(index_elements=["id"], set_=values)
        await self.connection.execute(put)
