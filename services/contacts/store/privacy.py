"""Statements over what is held about one person, and over the people who are being forgotten."""

from typing import Any, TypeAlias

from sqlalchemy import RowMapping, delete, func, insert, select, text, tuple_, update

from astronote.contacts.v1.lists_pb2 import List
from astronote.contacts.v1.privacy_pb2 import Erasure
from kit import rows
from kit.store import Store
from services.contacts.errors import ContactNotFound
from services.contacts.tables import (
    ACTIVITIES,
    activities,
    erasures,
    import_rejects,
    imports,
    list_contacts,
    lists,
    sign_ups,
)

SHOWN = rows.columns(Erasure, erasures)
# A person whose round is due: the row.
Due: TypeAlias = RowMapping
OPEN = text("state = 'PENDING'::text")


class PrivacyStatements(Store):
    async def lists_of(self, contact_id: str) -> list[List]:
        on_it = (list_contacts.c.merchant_id == self.merchant_id, list_contacts.c.contact_id == contact_id)
        query = select(*rows.columns(List, lists)).join(list_contacts, list_contacts.c.list_id == lists.c.id)
        return [rows.message(List, row) for row in await self.connection.execute(query.where(*on_it))]

    async def activity(self, contact_id: str) -> dict[str, str]:
        """When each thing last became of a text to the contact."""
        mine = (activities.c.merchant_id == self.merchant_id, activities.c.contact_id == contact_id)
        times = [activities.c[name] for name in ACTIVITIES.values()]
        row = (await self.connection.execute(select(*times).where(*mine))).one_or_none() or ()
        return {name: time.isoformat() for name, time in zip(ACTIVITIES.values(), row, strict=False) if time}

    async def drop_rejects(self, values: list[str]) -> None:
        """Rejected rows of imports whose cell is one of these texts."""
        is_about = import_rejects.c.value.in_(values) | import_rejects.c.cells.overlap(values)
        mine = (import_rejects.c.merchant_id == self.merchant_id, is_about)
        await self.connection.execute(delete(import_rejects).where(*mine))

    async def drop_sign_ups(self, phone: str) -> None:
        mine = (sign_ups.c.merchant_id == self.merchant_id, sign_ups.c.phone == phone)
        await self.connection.execute(delete(sign_ups).where(*mine))

    async def drop_old_rejects(self, seconds: float, limit: int) -> int:
        """Of imports that ended so long ago."""
        old = imports.c.finish_time < func.now() - func.make_interval(0, 0, 0, 0, 0, 0, seconds)
        key = (import_rejects.c.import_id, import_rejects.c.row)
        due = select(*key).join(imports, imports.c.id == import_rejects.c.import_id).where(old).limit(limit)
        return (await self.connection.execute(delete(import_rejects).where(tuple_(*key).in_(due)))).rowcount

    async def begin_erasure(self, contact_id: str, phone: str) -> Erasure:
        row = {"merchant_id": self.merchant_id, "contact_id": contact_id, "phone": phone, "state": Erasure.PENDING}
        result = await self.connection.execute(insert(erasures).values(row).returning(*SHOWN))
        return rows.message(Erasure, result.one())

    async def erasure(self, contact_id: str) -> Erasure | None:
        id = rows.uuid(contact_id, ContactNotFound)
        mine = (erasures.c.merchant_id == self.merchant_id, erasures.c.contact_id == id)
        row = (await self.connection.execute(select(*SHOWN).where(*mine))).one_or_none()
        return rows.message(Erasure, row) if row else None

    async def take_erasure(self, lease_seconds: float) -> Due | None:
        """The one that is due longest; others leave it alone for the time of the lease."""
        due = select(erasures.c.merchant_id, erasures.c.contact_id).where(OPEN, erasures.c.due_time <= func.now())
        row = due.order_by(erasures.c.due_time).limit(1).with_for_update(skip_locked=True).cte("due")
        taken = (
            update(erasures)
            .where(erasures.c.merchant_id == row.c.merchant_id, erasures.c.contact_id == row.c.contact_id)
            .values(due_time=_in(lease_seconds))
            .returning(*erasures.c)
        )
        return (await self.connection.execute(taken)).mappings().one_or_none()

    async def end_round(self, erasure: Due, pause_seconds: float, *, is_last: bool) -> None:
        """Notes that everybody forgot the person; after the last time we do, too."""
        changes: dict[str, Any] = {"rounds": erasures.c.rounds + 1, "due_time": _in(pause_seconds)}
        if is_last:
            changes |= {"state": Erasure.DONE, "finish_time": func.now(), "phone": ""}
        whose = (erasures.c.merchant_id == erasure["merchant_id"], erasures.c.contact_id == erasure["contact_id"])
        await self.connection.execute(update(erasures).where(*whose).values(changes))


def _in(seconds: float) -> Any:
    return func.now() + func.make_interval(0, 0, 0, 0, 0, 0, seconds)
