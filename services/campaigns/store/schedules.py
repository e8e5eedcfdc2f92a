"""Statements over scheduled campaigns. What is due is found and locked across merchants, by the pipeline."""

from typing import Any

from sqlalchemy import func, select, text, update
from sqlalchemy.dialects.postgresql import insert

from astronote.campaigns.v1.campaigns_pb2 import Campaign
from astronote.campaigns.v1.schedules_pb2 import Schedule
from kit.rows import AnyRow, one_of
from services.campaigns.schedules import Start
from services.campaigns.store.campaigns import EDITED, CampaignStatements
from services.campaigns.tables import campaigns

UNSCHEDULED: dict[str, Any] = {"due_time": None, "occurrence_time": None, "lease_expire_time": text("'epoch'")}


class ScheduleStatements(CampaignStatements):
    async def schedule(self, id: str, schedule: Schedule, start: Start) -> AnyRow:
        return await self.update_campaign(
            id, schedule=schedule, state=Campaign.SCHEDULED, failure="", missed_time=None, **start._asdict()
        )

    async def unschedule(self, id: str) -> AnyRow:
        return await self.update_campaign(id, state=Campaign.DRAFT, **UNSCHEDULED)

    async def take_due(self, limit: int, lease_seconds: float) -> list[AnyRow]:
        """Campaigns that are due, leased, each with the time that it is `now`."""
        due = (
            select(campaigns.c.id)
            .where(campaigns.c.state == Campaign.SCHEDULED, campaigns.c.due_time <= func.now())
            .where(campaigns.c.lease_expire_time < func.now())
            .order_by(campaigns.c.due_time)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        lease = func.now() + func.make_interval(0, 0, 0, 0, 0, 0, lease_seconds)
        taken = update(campaigns).where(one_of(campaigns.c.id, due)).values(lease_expire_time=lease)
        return list((await self.connection.execute(taken.returning(campaigns, func.now().label("now")))).all())

    async def lock_due(self, row: AnyRow) -> bool:
        """Whether that start is still to be made; nobody else makes it meanwhile."""
        same = (campaigns.c.id == row.id, campaigns.c.state == Campaign.SCHEDULED)
        query = select(campaigns.c.id).where(*same, campaigns.c.occurrence_time == row.occurrence_time)
        return (await self.connection.scalar(query.with_for_update())) is not None

    async def add_occurrence(self, row: AnyRow, schedule: Schedule) -> AnyRow | None:
        """The campaign of the occurrence that a recurring one is at; none where it was made before."""
        values = {name: row._mapping[name] for name in (*EDITED, "merchant_id", "due_time", "occurrence_time")}
        made = insert(campaigns).values(values | {"schedule": schedule, "parent_id": row.id})
        found: AnyRow | None = (
            await self.connection.execute(made.on_conflict_do_nothing().returning(campaigns))
        ).one_or_none()
        return found

    async def go_on(self, row: AnyRow, following: Start | None) -> None:
        """From one occurrence to the next; a recurring campaign ends with its rule."""
        if following is None:
            await self.update_campaign(row.id, state=Campaign.COMPLETED, finish_time=func.now(), **UNSCHEDULED)
        else:
            await self.update_campaign(row.id, **(UNSCHEDULED | following._asdict()))

    async def miss(self, row: AnyRow) -> None:
        """What starts once is a draft again."""
        back = {} if row.schedule.rrule else {"state": Campaign.DRAFT, **UNSCHEDULED}
        await self.update_campaign(row.id, missed_time=row.occurrence_time, **back)
