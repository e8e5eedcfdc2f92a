"""Statements over activity: what became of the texts to a contact, and when last."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, insert, select, text

from kit.rows import AnyRow
from kit.store import Store
from services.contacts.tables import ACTIVITIES, activity_events

# Contacts that are gone meanwhile have no activity. In one order, so that two rounds never wait in a circle.
_FOLD = text(f"""
    INSERT INTO activities AS a (merchant_id, contact_id, {", ".join(ACTIVITIES.values())})
    SELECT s.merchant_id, s.contact_id,
           {", ".join(f"max(s.time) FILTER (WHERE s.name = '{name}')" for name in ACTIVITIES.values())}
    FROM unnest(
        CAST(:merchant_ids AS uuid[]), CAST(:contact_ids AS uuid[]), CAST(:names AS text[]),
        CAST(:times AS timestamptz[])
    ) AS s(merchant_id, contact_id, name, time)
    WHERE (SELECT true FROM contacts c WHERE c.merchant_id = s.merchant_id AND c.id = s.contact_id)
    GROUP BY s.merchant_id, s.contact_id
    ORDER BY s.merchant_id, s.contact_id
    ON CONFLICT (merchant_id, contact_id) DO UPDATE SET
        {", ".join(f"{name} = greatest(a.{name}, excluded.{name})" for name in ACTIVITIES.values())}
""")


class ActivityStatements(Store):
    async def keep_activity(self, merchant_id: str, kind: int, time: datetime, contact_ids: bytes) -> None:
        """Keeps what was said until its turn."""
        row = {"merchant_id": merchant_id, "kind": kind, "event_time": time, "contact_ids": contact_ids}
        await self.connection.execute(insert(activity_events).values(row))

    async def take_activity(self, limit: int) -> list[AnyRow]:
        """The oldest of what waits, for this round alone."""
        query = select(activity_events).order_by(activity_events.c.id).limit(limit)
        return list((await self.connection.execute(query.with_for_update(skip_locked=True))).all())

    async def fold_activity(self, events: Sequence[AnyRow]) -> None:
        """Takes events into the contacts' activities; an older time never replaces a later one."""
        merchant_ids, contact_ids, names, times = list[str](), list[str](), list[str](), list[datetime]()
        for event in events:
            packed = event.contact_ids.hex()
            ids = [packed[begin : begin + 32] for begin in range(0, len(packed), 32)]
            contact_ids += ids
            merchant_ids += [event.merchant_id] * len(ids)
            names += [ACTIVITIES[event.kind]] * len(ids)
            times += [event.event_time] * len(ids)
        columns = {"merchant_ids": merchant_ids, "contact_ids": contact_ids, "names": names, "times": times}
        await self.connection.execute(_FOLD, columns)
        done = activity_events.c.id.in_([event.id for event in events])
        await self.connection.execute(delete(activity_events).where(done))
