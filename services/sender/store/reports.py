"""Statements over delivery reports. They come late, doubled, in any order, and before our own commit."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, func, insert, select, text, update

from kit.rows import AnyRow
from services.sender.outcomes import Change
from services.sender.reports import Report
from services.sender.store.tallies import TallyStatements
from services.sender.tables import parked_reports, webhooks

# A message waits (ACCEPTED) until it is DELIVERED or FAILED; DELIVERED beats FAILED; nothing else ever moves.
_APPLY = text("""
    WITH reported AS (
        SELECT * FROM unnest(
            CAST(:ids AS text[]), CAST(:states AS text[]), CAST(:times AS timestamptz[]), CAST(:errors AS text[])
        ) AS r(provider_message_id, state, time, error)
    ), current AS (
        SELECT m.id, m.provider_message_id, m.merchant_id, m.campaign_id, m.state AS was,
               r.state AS becomes, r.time, r.error
        FROM reported r JOIN messages m USING (provider_message_id)
        ORDER BY m.id
        FOR UPDATE OF m
    ), changed AS (
        UPDATE messages m SET state = c.becomes, finish_time = c.time, error = c.error
        FROM current c
        WHERE m.id = c.id AND (c.was = 'ACCEPTED' OR (c.was = 'FAILED' AND c.becomes = 'DELIVERED'))
        RETURNING c.merchant_id, c.campaign_id, c.was, c.becomes
    )
    SELECT merchant_id, campaign_id, was, becomes, count(*)::int AS moved, CAST(NULL AS text[]) AS absent
    FROM changed GROUP BY merchant_id, campaign_id, was, becomes
    UNION ALL
    -- In the same snapshot: a message that is committed a moment later must find its report parked.
    SELECT NULL, NULL, NULL, NULL, 0, ARRAY(
        SELECT r.provider_message_id FROM reported r LEFT JOIN current c USING (provider_message_id) WHERE c.id IS NULL
    )
""")
_PARK = text("""
    INSERT INTO parked_reports (provider_message_id, state, time, error)
    SELECT * FROM unnest(
        CAST(:ids AS text[]), CAST(:states AS text[]), CAST(:times AS timestamptz[]), CAST(:errors AS text[])
    )
    ON CONFLICT (provider_message_id) DO UPDATE SET
        state = excluded.state, time = excluded.time, error = excluded.error, try_time = now()
    WHERE parked_reports.state = 'FAILED'
""")


class ReportStatements(TallyStatements):
    async def keep_webhook(self, kind: str, body: bytes) -> None:
        await self.connection.execute(insert(webhooks).values(kind=kind, body=body))

    async def take_webhooks(self, kind: str, limit: int) -> list[AnyRow]:
        """Bodies that have not been applied, oldest first; ours until the transaction ends."""
        waiting = select(webhooks.c.id, webhooks.c.body, webhooks.c.create_time).where(
            webhooks.c.kind == kind, webhooks.c.apply_time.is_(None)
        )
        query = waiting.order_by(webhooks.c.id).limit(limit).with_for_update(skip_locked=True)
        return list((await self.connection.execute(query)).all())

    async def webhooks_applied(self, ids: list[int]) -> None:
        await self.connection.execute(update(webhooks).where(webhooks.c.id.in_(ids)).values(apply_time=func.now()))

    async def apply_reports(self, reports: Sequence[Report]) -> list[Report]:
        """Moves messages and tallies; answers with the reports whose message is not there."""
        if not reports:
            return []
        absent: set[str] = set()
        changes: dict[tuple[str, str], Change] = {}
        for row in await self.connection.execute(_APPLY, _columns(reports)):
            if row.absent is not None:
                absent = set(row.absent)
                continue
            change = changes.setdefault((str(row.merchant_id), str(row.campaign_id)), Change())
            change.add(row.was.lower(), -row.moved)
            change.add(row.becomes.lower(), row.moved)
        # Tallies in one order, so that two appliers do not wait for each other.
        for (merchant_id, campaign_id), change in sorted(changes.items(), key=lambda item: item[0]):
            await self.add_to_tally(merchant_id, campaign_id, change)
        return [report for report in reports if report.provider_message_id in absent]

    async def park(self, reports: Sequence[Report]) -> None:
        """Keeps reports until their message comes. Of two for one message the better stays."""
        if reports:
            await self.connection.execute(_PARK, _columns(reports))

    async def take_parked(self, limit: int) -> list[Report]:
        """Parked reports that are due for another try; their next one waits half as long again as they are old."""
        due = (
            select(parked_reports.c.provider_message_id)
            .where(parked_reports.c.try_time < func.now())
            .order_by(parked_reports.c.try_time)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        half_its_age = text("(now() - parked_reports.create_time) / 2")
        again = func.now() + func.greatest(text("interval '0.3 seconds'"), half_its_age)
        taken = update(parked_reports).where(parked_reports.c.provider_message_id.in_(due.scalar_subquery()))
        found = await self.connection.execute(taken.values(try_time=again).returning(parked_reports))
        return [Report(row.provider_message_id, row.state, row.time, row.error) for row in found]

    async def unpark(self, reports: Sequence[Report]) -> None:
        ids = [report.provider_message_id for report in reports]
        await self.connection.execute(delete(parked_reports).where(parked_reports.c.provider_message_id.in_(ids)))

    async def drop_parked(self, before: datetime) -> int:
        """Gives up reports that no message of ours has asked for."""
        return (
            await self.connection.execute(delete(parked_reports).where(parked_reports.c.create_time < before))
        ).rowcount


def _columns(reports: Sequence[Report]) -> dict[str, list[object]]:
    return {
        "ids": [report.provider_message_id for report in reports],
        "states": [report.state for report in reports],
        "times": [report.time for report in reports],
        "errors": [report.error for report in reports],
    }
