"""Statements over activity: what became of the texts to a contact, and when last."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, insert, select, text

from astronote.contacts.v1.audience_pb2 import ActivityCondition
from kit.rows import AnyRow
from kit.store import Store
from services.contacts.tables import ACTIVITIES, activity_events

ID_BYTES = 16
_LATEST = [f"max(s.event_time) FILTER (WHERE s.kind = '{ActivityCondition.Kind.Name(kind)}')" for kind in ACTIVITIES]
# Contacts that are gone meanwhile have no activity. In one order, so that two rounds never wait in a circle.
_FOLD = text(f"""
    WITH taken AS (
        DELETE FROM activity_events WHERE id = ANY (CAST(:ids AS bigint[]))
        -- Out of the TOAST once, and not once a contact.
        RETURNING merchant_id, kind, event_time, contact_ids || CAST('' AS bytea) AS ids
    ), said AS (
        SELECT merchant_id, CAST(encode(substr(ids, place, {ID_BYTES}), 'hex') AS uuid) AS contact_id, kind, event_time
        FROM taken CROSS JOIN generate_series(1, length(ids), {ID_BYTES}) AS place
    ), latest AS (
        SELECT s.merchant_id, s.contact_id, {", ".join(_LATEST)} FROM said s GROUP BY s.merchant_id, s.contact_id
    )
    INSERT INTO activities AS a (merchant_id, contact_id, {", ".join(ACTIVITIES.values())})
    SELECT * FROM latest l
    WHERE (SELECT true FROM contacts c WHERE c.merchant_id = l.merchant_id AND c.id = l.contact_id)
    ORDER BY l.merchant_id, l.contact_id
    ON CONFLICT (merchant_id, contact_id) DO UPDATE SET
        {", ".join(f"{name} = greatest(a.{name}, excluded.{name})" for name in ACTIVITIES.values())}
""")


class ActivityStatements(Store):
    async def keep_activity(self, merchant_id: str, kind: int, time: datetime, contact_ids: bytes) -> None:
        """Keeps what was said until its turn."""
        row = {"merchant_id": merchant_id, "kind": kind, "event_time": time, "contact_ids": contact_ids}
        await self.connection.execute(insert(activity_events).values(row))

    async def take_activity(self, limit: int) -> list[AnyRow]:
        """The ids of the oldest of what waits, for this round alone, and how many `contacts` each is of."""
        contacts = (func.length(activity_events.c.contact_ids) / ID_BYTES).label("contacts")
        query = select(activity_events.c.id, contacts).order_by(activity_events.c.id).limit(limit)
        return list((await self.connection.execute(query.with_for_update(skip_locked=True))).all())

    async def fold_activity(self, ids: Sequence[int]) -> None:
        """Takes events into the contacts' activities; an older time never replaces a later one."""
        if ids:
            await self.connection.execute(_FOLD, {"ids": list(ids)})
