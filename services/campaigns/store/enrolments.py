"""Statements over those to whom the trigger of an automation happened. The key of a row is what keeps somebody from
being texted twice on one occasion.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select, text

from astronote.campaigns.v1.automations_pb2 import Automation, Trigger
from kit import rows
from kit.rows import AnyRow
from kit.store import Store
from services.campaigns.store.audiences import LeaseLostError
from services.campaigns.tables import automations

# In the order of the key, so that of two who enrol the same people none waits for the other in a circle.
_ENROL = """
    INSERT INTO enrolments (merchant_id, automation_id, contact_id, occasion, due_time)
    SELECT a.merchant_id, a.id, c.id, CASE a.repeat WHEN 'ALWAYS' THEN h.key ELSE '' END AS occasion,
           now() + make_interval(mins => a.delay_minutes)
    FROM unnest(CAST(%(merchant_ids)s AS uuid[]), CAST(%(subjects)s AS text[]), CAST(%(contact_ids)s AS text[]),
                CAST(%(keys)s AS text[])) h(merchant_id, subject, contact_ids, key)
    JOIN automations a ON a.merchant_id = h.merchant_id AND a.enabled AND a.trigger->>'event' = %(event)s
        AND coalesce(a.trigger->>'listId', a.trigger->>'tag', '') = h.subject
    CROSS JOIN LATERAL unnest(CAST(h.contact_ids AS uuid[])) c(id)
    ORDER BY a.merchant_id, a.id, c.id, occasion
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


@dataclass(frozen=True)
class Happening:
    """That an event, whose own key it is, happened to a merchant's contacts. The subject: which list, or which tag."""

    merchant_id: str
    subject: str
    contact_ids: Sequence[str]
    key: str


class EnrolmentStatements(Store):
    async def enrol(self, event: Trigger.Event.ValueType, happened: Sequence[Happening]) -> int:
        """Each of them happened to its contacts. On an occasion that was there before nothing is. How many are enrolled
        by it.
        """
        values: dict[str, Any] = {
            "event": Trigger.Event.Name(event),
            "merchant_ids": [each.merchant_id for each in happened],
            "subjects": [each.subject for each in happened],
            "contact_ids": [f"{{{','.join(each.contact_ids)}}}" for each in happened],
            "keys": [each.key for each in happened],
        }
        return (await self.driver.execute(_ENROL, values)).rowcount

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
