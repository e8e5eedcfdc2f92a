"""Statements over automations: what merchants see and change, what each of them did, and whose day has come."""

from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert

from astronote.campaigns.v1.automations_pb2 import Automation, AutomationStats
from kit import rows
from kit.rows import AnyRow
from kit.store import Store
from services.campaigns.errors import AutomationNotFound, TooManyAutomations
from services.campaigns.store.audiences import LeaseLostError
from services.campaigns.tables import automations, enrolments

SHOWN = rows.columns(Automation, automations)
KEPT = [column.name for column in SHOWN if column.name not in ("create_time", "update_time")]
OWN_MAX = 50
_UUID_LENGTH = 36
_HAPPENED = text("""
    SELECT state, skip_reason, count(*) AS people FROM enrolments
    WHERE enrolments.merchant_id = CAST(:merchant_id AS uuid) AND automation_id = :id
      AND create_time > now() - make_interval(days => :days)
    GROUP BY state, skip_reason
""")
_SENT = """
    WITH sent AS (
        SELECT id, targeted, skipped, coalesce(tally, '{}') AS tally FROM campaigns
        WHERE campaigns.merchant_id = CAST(:merchant_id AS uuid) AND parent_id = :id AND kind = 'AUTOMATION'
          AND start_time > now() - make_interval(days => :days)
    )
"""
_COUNTED = text(
    _SENT
    + """
    SELECT coalesce(sum(targeted), 0) AS targeted,
           coalesce(sum(CAST(tally->>'accepted' AS integer)), 0) AS accepted,
           coalesce(sum(CAST(tally->>'delivered' AS integer)), 0) AS delivered,
           coalesce(sum(CAST(tally->>'failed' AS integer)), 0) AS failed,
           coalesce(sum(CAST(tally->>'rejected' AS integer)), 0) AS rejected,
           coalesce(sum(CAST(tally->>'expired' AS integer)), 0) AS expired,
           coalesce(sum(CAST(tally->>'unknown' AS integer)), 0) AS unknown,
           coalesce(sum(CAST(tally->>'creditsCaptured' AS integer)), 0) AS credits_captured
    FROM sent
"""
)
_LEFT_OUT = text(
    _SENT
    + """
    SELECT each.key AS reason, sum(CAST(each.value AS integer)) AS people
    FROM sent CROSS JOIN LATERAL (
        SELECT * FROM jsonb_each_text(sent.skipped)
        UNION ALL SELECT * FROM jsonb_each_text(coalesce(sent.tally->'skipped', '{}'))
    ) each
    GROUP BY each.key
"""
)
_RESPONDED = text(
    _SENT
    + """
    SELECT coalesce(sum(r.views), 0) AS views, coalesce(sum(r.viewers), 0) AS viewers,
           coalesce(sum(r.redemptions), 0) AS redemptions, coalesce(sum(r.unsubscribes), 0) AS unsubscribes
    FROM sent JOIN response_counts r ON r.campaign_id = sent.id
"""
)


class AutomationStatements(Store):
    async def automation(self, id: str, *, lock: bool = False) -> Automation | None:
        query = select(*SHOWN).where(*self._automation(id))
        row = (await self.connection.execute(query.with_for_update() if lock else query)).one_or_none()
        return rows.message(Automation, row) if row else None

    async def all_automations(self) -> list[Automation]:
        query = select(*SHOWN).where(automations.c.merchant_id == self.merchant_id).order_by(automations.c.id)
        return [rows.message(Automation, row) for row in await self.connection.execute(query)]

    async def check_room(self) -> None:
        """Refuses `TooManyAutomations`."""
        own = (automations.c.merchant_id == self.merchant_id, func.length(automations.c.id) == _UUID_LENGTH)
        if (await self.connection.scalar(select(func.count()).where(*own)) or 0) >= OWN_MAX:
            raise TooManyAutomations(automations_max=OWN_MAX)

    async def keep_automation(self, automation: Automation, run_time: datetime | None) -> Automation:
        """As it stands; whoever asks a daily one at this moment has lost it."""
        values = rows.values(automation, automations, KEPT) | {"run_time": run_time, "lease_id": ""}
        made = insert(automations).values(values | {"merchant_id": self.merchant_id})
        kept = made.on_conflict_do_update(
            index_elements=["merchant_id", "id"],
            set_=values | {"update_time": func.now(), "lease_expire_time": text("'epoch'")},
        )
        return rows.message(Automation, (await self.connection.execute(kept.returning(*SHOWN))).one())

    async def delete_automation(self, id: str) -> None:
        """And those to whom it happened. Refuses `AutomationNotFound`."""
        if not (await self.connection.execute(delete(automations).where(*self._automation(id)))).rowcount:
            raise AutomationNotFound(id=id[:100])
        whose = (enrolments.c.merchant_id == self.merchant_id, enrolments.c.automation_id == id)
        await self.connection.execute(delete(enrolments).where(*whose))

    async def automation_stats(self, id: str, days: int) -> AutomationStats:
        which = {"merchant_id": self.merchant_id, "id": id, "days": days}
        stats = AutomationStats(automation_id=id)
        for row in await self.connection.execute(_HAPPENED, which):
            stats.triggered += row.people
            stats.waiting += row.people if row.state == "WAITING" else 0
            if row.skip_reason:
                stats.skipped[row.skip_reason] = row.people
        counted = dict((await self.connection.execute(_COUNTED, which)).one()._mapping)
        stats.credits_captured = counted.pop("credits_captured")
        for name, count in counted.items():
            setattr(stats.counts, name, count)
        for row in await self.connection.execute(_LEFT_OUT, which):
            stats.counts.skipped[row.reason] = row.people
        targeted = counted.pop("targeted")
        stats.counts.queued = targeted - sum(counted.values()) - sum(stats.counts.skipped.values())
        for name, count in (await self.connection.execute(_RESPONDED, which)).one()._mapping.items():
            setattr(stats, name, count)
        return stats

    async def take_run(self, lease_id: str, lease_seconds: float) -> AnyRow | None:
        """The daily automation that has waited longest to be asked, leased, with the time that it is `now`."""
        due = (
            select(automations.c.merchant_id, automations.c.id)
            .where(automations.c.run_time <= func.now(), automations.c.lease_expire_time < func.now())
            .order_by(automations.c.run_time)
            .limit(1)
            .with_for_update(skip_locked=True)
            .cte("due")
        )
        mine = (automations.c.merchant_id == due.c.merchant_id, automations.c.id == due.c.id)
        values = {"lease_id": lease_id, "lease_expire_time": _after(lease_seconds)}
        leased = update(automations).where(*mine).values(values).returning(automations, func.now().label("now"))
        row: AnyRow | None = (await self.connection.execute(leased)).one_or_none()
        return row

    async def keep_run(self, run: AnyRow, lease_seconds: float) -> None:
        """Nobody else asks it meanwhile. Raises `LeaseLostError`."""
        await self._hold_run(run, lease_expire_time=_after(lease_seconds))

    async def finish_run(self, run: AnyRow, next_time: datetime) -> None:
        """Raises `LeaseLostError`."""
        await self._hold_run(run, run_time=next_time, lease_expire_time=text("'epoch'"))

    async def _hold_run(self, run: AnyRow, **values: Any) -> None:
        held = (
            automations.c.merchant_id == run.merchant_id,
            automations.c.id == run.id,
            automations.c.lease_id == run.lease_id,
        )
        if not (await self.connection.execute(update(automations).where(*held).values(values))).rowcount:
            raise LeaseLostError(run.id)

    def _automation(self, id: str) -> tuple[Any, ...]:
        return automations.c.merchant_id == self.merchant_id, automations.c.id == id


def _after(seconds: float) -> Any:
    return func.now() + func.make_interval(0, 0, 0, 0, 0, 0, seconds)
