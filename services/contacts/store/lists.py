"""Statements over lists, and who is on them.

A list and its contacts are locked before they are joined (the list first, then the contacts by id), so that neither is
gone when the row is there.
"""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, insert, literal, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import IntegrityError

from astronote.contacts.v1.events_pb2 import ListJoined
from astronote.contacts.v1.lists_pb2 import List
from kit import rows
from kit.store import Store
from services.contacts.errors import ContactNotFound, ListNameTaken, ListNotFound
from services.contacts.tables import contacts, forms, list_contacts, lists

_COUNT = select(func.count()).where(
    list_contacts.c.list_id == lists.c.id, list_contacts.c.merchant_id == lists.c.merchant_id
)
SHOWN = [*rows.columns(List, lists), _COUNT.scalar_subquery().label("contact_count")]


class ListStatements(Store):
    async def create_list(self, name: str) -> List:
        """Refuses `ListNameTaken`."""
        return await self._list_written(insert(lists).values(merchant_id=self.merchant_id, name=name), name)

    async def list_by_id(self, id: str) -> List:
        """Refuses `ListNotFound`."""
        return _found((await self.connection.execute(select(*SHOWN).where(*self._list(id)))).one_or_none(), id)

    async def list_page(self, after: str | None, limit: int) -> list[List]:
        query = select(*SHOWN).where(lists.c.merchant_id == self.merchant_id)
        if after:
            query = query.where(lists.c.id > after)
        found = await self.connection.execute(query.order_by(lists.c.id).limit(limit))
        return [rows.message(List, row) for row in found]

    async def rename_list(self, id: str, name: str) -> List:
        """Refuses `ListNameTaken`, `ListNotFound`."""
        statement = update(lists).where(*self._list(id)).values(name=name, update_time=func.now())
        return await self._list_written(statement, name, id)

    async def delete_list(self, id: str) -> None:
        """Refuses `ListNotFound`."""
        if not (await self.connection.execute(delete(lists).where(*self._list(id)))).rowcount:
            raise ListNotFound(id=id)
        await self.connection.execute(delete(list_contacts).where(*self._members(id)))
        # Who signs up by a form comes on no list from now on.
        by_form = (forms.c.merchant_id == self.merchant_id, forms.c.list_id == id)
        await self.connection.execute(update(forms).where(*by_form).values(list_id=""))

    async def check_list(self, id: str) -> None:
        """Nobody removes the list until this transaction ends. Refuses `ListNotFound`."""
        query = select(lists.c.id).where(*self._list(id)).with_for_update(read=True, key_share=True)
        if (await self.connection.execute(query)).one_or_none() is None:
            raise ListNotFound(id=id)

    async def check_lists(self, named: Iterable[tuple[str, str]]) -> None:
        """Of (path, id) each. Refuses `ListNotFound` with the path of the first that is not there."""
        paths = {id: path for path, id in reversed(list(named))}
        mine = (lists.c.merchant_id == self.merchant_id, lists.c.id.in_([id for id in paths if rows.is_uuid(id)]))
        found = set((await self.connection.execute(select(lists.c.id).where(*mine))).scalars()) if paths else set()
        for id, path in reversed(paths.items()):
            if id not in found:
                raise ListNotFound(field=path, id=id[:100])

    async def add_to_list(self, id: str, contact_ids: Sequence[str]) -> int:
        """How many were not on it before, which is said. Refuses `ListNotFound`, `ContactNotFound`."""
        await self.check_list(id)
        wanted = list(dict.fromkeys(rows.uuid(each, ContactNotFound) for each in contact_ids))
        mine = (contacts.c.merchant_id == self.merchant_id, contacts.c.id.in_(wanted))
        locked = select(contacts.c.id).where(*mine).order_by(contacts.c.id).with_for_update(read=True, key_share=True)
        found = set((await self.connection.execute(locked)).scalars())
        if missing := [each for each in wanted if each not in found]:
            raise ContactNotFound(field="contact_ids", id=missing[0], missing=len(missing))
        joined = select(literal(id, lists.c.id.type), contacts.c.id, contacts.c.merchant_id).where(*mine)
        statement = upsert(list_contacts).from_select(["list_id", "contact_id", "merchant_id"], joined)
        new = statement.on_conflict_do_nothing().returning(list_contacts.c.contact_id)
        added = [UUID(each).bytes for each in (await self.connection.execute(new)).scalars()]
        if added:
            await self.emit(ListJoined(merchant_id=self.merchant_id, list_id=id, contact_ids=b"".join(added)))
        return len(added)

    async def remove_from_list(self, id: str, contact_ids: Sequence[str]) -> int:
        """How many were on it before. Refuses `ListNotFound`, and `ContactNotFound` for what is no id at all."""
        await self.check_list(id)
        wanted = [rows.uuid(each, ContactNotFound) for each in contact_ids]
        named = list_contacts.c.contact_id.in_(wanted)
        return (await self.connection.execute(delete(list_contacts).where(*self._members(id), named))).rowcount

    def _list(self, id: str) -> tuple[Any, ...]:
        return lists.c.merchant_id == self.merchant_id, lists.c.id == rows.uuid(id, ListNotFound)

    def _members(self, id: str) -> tuple[Any, ...]:
        return list_contacts.c.list_id == id, list_contacts.c.merchant_id == self.merchant_id

    async def _list_written(self, statement: Any, name: str, id: str = "") -> List:
        try:
            row = (await self.connection.execute(statement.returning(*SHOWN))).one_or_none()
        except IntegrityError as error:
            if "lists_name_key" not in str(error.orig):
                raise
            raise ListNameTaken(field="list.name", name=name) from error
        return _found(row, id)


def _found(row: rows.AnyRow | None, id: str) -> List:
    if row is None:
        raise ListNotFound(id=id)
    return rows.message(List, row)
