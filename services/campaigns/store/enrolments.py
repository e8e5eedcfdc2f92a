"""Statements over those to whom the trigger of an automation happened. The key of a row is what keeps somebody from
being texted twice on one occasion.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select, text

from astronote.campaigns.v1.automations_pb2 import Automation, Trigger
from kit import rows
from kit.rows import AnyRow
from kit.store import Store
from services.campaigns.store.audiences import LeaseLostError
from services.campaigns.tables import automations

_ENROL = """
    INSERT INTO enrolments (merchant_id, automation_id, contact_id, occasion, due_time)
    SELECT a.merchant_id, a.id, c.id, CASE a.repeat WHEN 'ALWAYS' THEN %(key)s ELSE '' END,
           now() + make_interval(mins => a.delay_minutes)
    FROM automations a CROSS JOIN unnest(CAST(%(contact_ids)s AS uuid[])) c(id)
    WHERE a.merchant_id = CAST(%(merchant_id)s AS uuid) AND a.enabled AND a.trigger->>'event' = %(event)s
      AND coalesce(a.trigger->>'listId', a.trigger->>'tag', '') = %(subject)s
    ON CONFLICT DO NOTHING
"""
_ENROL_PAGE = text("""
    INSERT INTO enrolments (merchant_id, automation_id, contact_id, occasion, due_time)
    SELECT CAST(:merchant_id AS uuid), :automation_id, c.id, :occasion, :due_time
    FROM unnest(CAST(:contact_ids AS uuid[])) c(id)
    ON CONFLICT DO NOTHING
""")
# Whoever has waited longest, and who waits for the same automation.
_TAKE = text("""
    WITH first AS (
        SELECT merchant_id, automation_id FROM enrolments
        WHERE state = 'WAITING' AND due_time <= now() AND lease_expire_time < now()
        ORDER BY due_time LIMIT 1
        FOR UPDATE SKIP LOCKED
    ), mine AS (
        SELECT e.merchant_id, e.automation_id, e.contact_id, e.occasion
        FROM enrolments e JOIN first USING (merchant_id, automation_id)
        WHERE e.state = 'WAITING' AND e.due_time <= now() AND e.lease_expire_time < now()
        ORDER BY e.due_time LIMIT :limit
        FOR UPDATE OF e SKIP LOCKED
    )
    UPDATE enrolments e
    SET lease_id = :lease_id, lease_expire_time = now() + make_interval(secs => :lease_seconds)
    FROM mine
    WHERE e.merchant_id = mine.merchant_id AND e.automation_id = mine.automation_id
      AND e.contact_id = mine.contact_id AND e.occasion = mine.occasion
    RETURNING CAST(e.merchant_id AS text) AS merchant_id, e.automation_id, CAST(e.contact_id AS text) AS contact_id
""")
_SETTLE = text("""
    UPDATE enrolments SET state = CASE WHEN contact_id = ANY(CAST(:sent AS uuid[])) THEN 'SENT' ELSE 'SKIPPED' END,
        skip_reason = CASE WHEN contact_id = ANY(CAST(:sent AS uuid[])) THEN '' ELSE :reason END,
        campaign_id = CASE WHEN contact_id = ANY(CAST(:sent AS uuid[])) THEN CAST(:campaign_id AS uuid) END
    WHERE merchant_id = CAST(:merchant_id AS uuid) AND automation_id = :automation_id
      AND lease_id = :lease_id AND state = 'WAITING'
""")


class EnrolmentStatements(Store):
    async def enrol(
        self, merchant_id: str, event: Trigger.Event.ValueType, subject: str, contact_ids: Sequence[str], key: str
    ) -> int:
        """It happened to these contacts; `key` is the event's own. On an occasion that was there before nothing is.
        How many are enrolled by it.
        """
        parameters: dict[str, Any] = {"merchant_id": merchant_id, "contact_ids": list(contact_ids), "subject": subject}
        happened = parameters | {"event": Trigger.Event.Name(event), "key": key}
        return (await self.driver.execute(_ENROL, happened)).rowcount

    async def enrol_page(self, run: AnyRow, contact_ids: Sequence[str], occasion: str, due_time: datetime) -> None:
        """Some of those for whom a day came."""
        parameters: dict[str, Any] = {"merchant_id": run.merchant_id, "automation_id": run.id, "occasion": occasion}
        await self.connection.execute(
            _ENROL_PAGE, parameters | {"contact_ids": list(contact_ids), "due_time": due_time}
        )

    async def take_enrolments(self, limit: int, lease_id: str, lease_seconds: float) -> list[AnyRow]:
        """Those of one automation whose text is due, leased."""
        parameters = {"limit": limit, "lease_id": lease_id, "lease_seconds": lease_seconds}
        return list((await self.connection.execute(_TAKE, parameters)).all())

    async def enrolled_automation(self, enrolment: AnyRow) -> Automation | None:
        """None where it is gone, or off."""
        mine = (automations.c.merchant_id == enrolment.merchant_id, automations.c.id == enrolment.automation_id)
        query = select(*rows.columns(Automation, automations)).where(*mine, automations.c.enabled)
        row = (await self.connection.execute(query)).one_or_none()
        return rows.message(Automation, row) if row else None

    async def settle_enrolments(
        self,
        taken: Sequence[AnyRow],
        lease_id: str,
        reason: str,
        sent: Sequence[str] = (),
        campaign_id: str | None = None,
    ) -> None:
        """The texts of those who are `sent` stand in the campaign; the others are skipped for the reason. Raises
        `LeaseLostError`, and then nothing of this transaction may stay.
        """
        parameters: dict[str, Any] = {"lease_id": lease_id, "reason": reason, "sent": list(sent)}
        parameters |= {"campaign_id": campaign_id, "merchant_id": taken[0].merchant_id}
        parameters |= {"automation_id": taken[0].automation_id}
        if (await self.connection.execute(_SETTLE, parameters)).rowcount != len(taken):
            raise LeaseLostError(lease_id)
