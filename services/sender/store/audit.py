"""The recount: tallies held against the messages that they count."""

from dataclasses import dataclass

from sqlalchemy import func, select, text

from astronote.sender.v1.operations_pb2 import UnknownAttempt
from kit import rows
from kit.store import Store
from services.sender.tables import attempts

# One snapshot. What has an id of the provider's, or was opened, was accepted, and is charged whatever became of it.
_RECOUNT = text("""
WITH counted AS (
    SELECT campaign_id, state, CASE WHEN state = 'SKIPPED' THEN error END AS reason, count(*) AS messages,
           sum(credits) FILTER (WHERE state IN ('ACCEPTED', 'DELIVERED', 'FAILED')
                                   OR (state = 'EXPIRED' AND NOT is_unproven)) AS captured,
           sum(credits) FILTER (WHERE state IN ('REJECTED', 'SKIPPED')
                                   OR (state = 'EXPIRED' AND is_unproven)) AS released
    FROM (
        SELECT *, provider_message_id IS NULL AND link_open_time IS NULL AS is_unproven FROM messages
    ) AS m
    WHERE merchant_id = :merchant_id AND campaign_id IS NOT NULL GROUP BY 1, 2, 3
), recounted AS (
    SELECT campaign_id,
           coalesce(sum(messages) FILTER (WHERE state = 'ACCEPTED'), 0) AS accepted,
           coalesce(sum(messages) FILTER (WHERE state = 'DELIVERED'), 0) AS delivered,
           coalesce(sum(messages) FILTER (WHERE state = 'FAILED'), 0) AS failed,
           coalesce(sum(messages) FILTER (WHERE state = 'REJECTED'), 0) AS rejected,
           coalesce(sum(messages) FILTER (WHERE state = 'EXPIRED'), 0) AS expired,
           coalesce(sum(messages) FILTER (WHERE state = 'UNKNOWN'), 0) AS unknown,
           coalesce(jsonb_object_agg(reason, messages) FILTER (WHERE state = 'SKIPPED'), '{}') AS skipped,
           coalesce(sum(captured), 0) AS captured, coalesce(sum(released), 0) AS released
    FROM counted GROUP BY campaign_id
), told AS (
    SELECT * FROM tallies WHERE merchant_id = :merchant_id
)
SELECT coalesce(t.campaign_id, r.campaign_id) AS campaign_id
FROM told t FULL JOIN recounted r USING (campaign_id)
WHERE (t.accepted, t.delivered, t.failed, t.rejected, t.expired, t.unknown, t.skipped,
       t.credits_captured, t.credits_released)
   IS DISTINCT FROM
      (r.accepted, r.delivered, r.failed, r.rejected, r.expired, r.unknown, r.skipped, r.captured, r.released)
""")
_NEXT_MERCHANT = text("""
    SELECT least(
        (SELECT merchant_id FROM messages WHERE merchant_id > :after ORDER BY merchant_id LIMIT 1),
        (SELECT merchant_id FROM tallies WHERE merchant_id > :after ORDER BY merchant_id LIMIT 1)
    )
""")
# In the order of `services.sender.figures.GAUGES`.
_FIGURES = text("""
    SELECT unknown.count, unknown.seconds, settling.count, posted.count, posted.seconds
    FROM (SELECT coalesce(sum(recipient_count), 0) AS count,
                 coalesce(extract(epoch FROM now() - min(finish_time)), 0) AS seconds
          FROM attempts WHERE close_time IS NULL AND state = 'UNKNOWN') AS unknown,
         (SELECT count(*) AS count FROM settlements) AS settling,
         (SELECT count(*) AS count, coalesce(extract(epoch FROM now() - min(create_time)), 0) AS seconds
          FROM webhooks WHERE apply_time IS NULL) AS posted
""")
NOBODY = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True)
class Recounted:
    """A merchant, and those of its campaigns whose tally is not what its messages add up to."""

    merchant_id: str
    wrong: list[str]


class AuditStatements(Store):
    async def unknown_page(self, after: str | None, limit: int) -> list[UnknownAttempt]:
        """Attempts of which nobody knows what became of them, by id; over all merchants."""
        unknown = (attempts.c.close_time.is_(None), attempts.c.state == "UNKNOWN")
        query = select(*rows.columns(UnknownAttempt, attempts)).where(*unknown).order_by(attempts.c.id).limit(limit)
        if after is not None:
            query = query.where(attempts.c.id > after)
        return [rows.message(UnknownAttempt, row) for row in await self.connection.execute(query)]

    async def count_open_attempts(self) -> int:
        """Those that have begun and have no outcome."""
        query = select(func.count()).where(attempts.c.close_time.is_(None), attempts.c.state == "OPEN")
        return int(await self.connection.scalar(query) or 0)

    async def figures(self) -> list[float]:
        """What waits, over all merchants."""
        return [float(figure) for figure in (await self.connection.execute(_FIGURES)).one()]

    async def recount_after(self, merchant_id: str) -> Recounted | None:
        """Counts the messages of the merchant that follows in the order of ids; none after the last one."""
        found = await self.connection.scalar(_NEXT_MERCHANT, {"after": merchant_id or NOBODY})
        if found is None:
            return None
        rows = await self.connection.execute(_RECOUNT, {"merchant_id": found})
        return Recounted(str(found), [str(row.campaign_id) for row in rows])
