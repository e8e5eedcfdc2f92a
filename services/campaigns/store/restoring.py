"""Statements for the time that the database has forgotten, when it went back to a point in time: what may have happened
in it does not happen again.
"""

from sqlalchemy import func, select, text, update

from astronote.campaigns.v1.campaigns_pb2 import Campaign
from kit.rows import AnyRow
from services.campaigns import states
from services.campaigns.store.automations import AutomationStatements
from services.campaigns.store.schedules import ScheduleStatements
from services.campaigns.tables import batches, campaigns

RESTORED = "RESTORED"
_LEAVE_OUT = text("""
    SELECT max(nextval(pg_get_serial_sequence('batches', 'id'))) FROM generate_series(1, :count)
""")
_SKIP_ENROLMENTS = text("""
    WITH due AS (
        SELECT merchant_id, automation_id, contact_id, occasion FROM enrolments
        WHERE state = 'WAITING' AND due_time <= now() LIMIT :limit FOR UPDATE
    )
    UPDATE enrolments e SET state = 'SKIPPED', skip_reason = 'restored', lease_id = ''
    FROM due
    WHERE e.merchant_id = due.merchant_id AND e.automation_id = due.automation_id
      AND e.contact_id = due.contact_id AND e.occasion = due.occasion
""")
# By whole days: where the clocks changed meanwhile, the next day alone is asked an hour off.
_SKIP_DAYS = text("""
    UPDATE automations SET lease_id = '', run_time = run_time + make_interval(
        days => CAST(ceil(extract(epoch FROM now() - run_time) / 86400) AS integer))
    WHERE run_time <= now()
""")


class RestoreStatements(ScheduleStatements, AutomationStatements):
    async def leave_out_ids(self, count: int) -> None:
        """So many ids of batches are given to none."""
        await self.connection.execute(_LEAVE_OUT, {"count": count})

    async def cancel_going(self, limit: int) -> int:
        """Cancels so many campaigns that go on. What a sender had begun is published at once, so that it ends."""
        going = select(campaigns).where(campaigns.c.state.in_(states.ALLOWED["cancel"])).limit(limit)
        found = (await self.connection.execute(going.with_for_update())).all()
        for row in found:
            await self.cancel(row)
            await self.update_campaign(row.id, failure=RESTORED)
        begun = (batches.c.campaign_id.in_([row.id for row in found]), batches.c.state == "TAKEN")
        await self.connection.execute(update(batches).where(*begun).values(publish_time=None))
        return len(found)

    async def lock_due_starts(self, limit: int) -> list[AnyRow]:
        """Scheduled campaigns whose time has come, each with the time that it is `now`."""
        due = (campaigns.c.state == Campaign.SCHEDULED, campaigns.c.due_time <= func.now())
        query = select(campaigns, func.now().label("now")).where(*due).limit(limit).with_for_update(of=campaigns)
        return list((await self.connection.execute(query)).all())

    async def skip_enrolments(self, limit: int) -> int:
        """Texts of automations that are due."""
        return (await self.connection.execute(_SKIP_ENROLMENTS, {"limit": limit})).rowcount

    async def skip_days(self) -> int:
        """Daily automations whose day has come: they go on with the next."""
        return (await self.connection.execute(_SKIP_DAYS)).rowcount
