"""Statements over the book."""

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Integer,
    Select,
    bindparam,
    delete,
    func,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, TEXT
from sqlalchemy.exc import IntegrityError

from astronote.contacts.v1.contacts_pb2 import Contact
from kit import rows
from kit.store import Store
from services.contacts.contact import WRITABLE
from services.contacts.errors import ContactNotFound, PhoneTaken
from services.contacts.store.rules import on_lists
from services.contacts.tables import activities, contacts, list_contacts, metadata

SHOWN = rows.columns(Contact, contacts)
CONTACT = rows.Reading(
    Contact,
    select(*SHOWN).where(contacts.c.merchant_id == bindparam("merchant_id"), contacts.c.id == bindparam("id")),
)
NAMES = ("merchant_id", *(name for name in WRITABLE if name != "subscription"), "phone_hash", "search")
# Looked up one by one, as in store/imports.py, and written in the order of the phones, in which all who write many do.
CREATED = rows.Reading(
    Contact,
    text(f"""
        INSERT INTO contacts ({", ".join(NAMES)}, subscription)
        SELECT {", ".join(f"given.{name}" for name in NAMES)}, CASE WHEN (
            SELECT true FROM suppressions
            WHERE suppressions.merchant_id = given.merchant_id AND suppressions.phone_hash = given.phone_hash
        ) THEN 'UNSUBSCRIBED' ELSE given.subscription END
        FROM json_populate_recordset(CAST(NULL AS contacts), CAST(:given AS json)) AS given
        ORDER BY given.phone
        ON CONFLICT (merchant_id, phone) DO NOTHING
        RETURNING {", ".join(column.name for column in SHOWN)}
    """).columns(*SHOWN),
)
KNOWN = """
SELECT count(*) FROM unnest(%(phones)s::text[]) AS asked (phone)
WHERE (SELECT true FROM contacts WHERE contacts.merchant_id = %(merchant_id)s AND contacts.phone = asked.phone)
"""


@dataclass(frozen=True)
class Filter:
    """Which contacts a page shows; what is empty lets everybody through. `patterns` are those of search.py."""

    patterns: tuple[str, ...] = ()
    subscription: int = 0
    tag: str = ""
    list_id: str = ""

    @property
    def shape(self) -> "Filter":
        """The same for all that are asked by the same statement."""
        given = (int(bool(self.subscription)), "x" if self.tag else "", "x" if self.list_id else "")
        return Filter(("",) * len(self.patterns), *given)

    @property
    def values(self) -> dict[str, object]:
        """As `_chosen` names them."""
        named = {"subscription": self.subscription, "tags": [self.tag], "list_id": self.list_id}
        return {f"pattern_{at}": each for at, each in enumerate(self.patterns)} | named

    @property
    def is_narrow(self) -> bool:
        """Whether only a few contacts may be let through."""
        return bool(self.patterns or self.tag or self.list_id)


@dataclass(frozen=True)
class Order:
    """In what order contacts are shown: by columns that stand in an index, and are unique together."""

    names: tuple[str, ...]
    is_descending: bool = False

    def by(self, found: FromClause) -> list[ColumnElement[Any]]:
        return [found.c[name].desc() if self.is_descending else found.c[name] for name in self.names]

    def is_behind(self, found: FromClause) -> ColumnElement[bool]:
        """Behind the place whose parts are named `after_0` and so on."""
        columns = [found.c[name] for name in self.names]
        place = tuple_(*(bindparam(f"after_{at}", type_=column.type) for at, column in enumerate(columns)))
        return tuple_(*columns) < place if self.is_descending else tuple_(*columns) > place


BY_ID = Order(("id",))
# As callers name them. Names of people stand in no order of an index: it would have to be one of each language.
ORDERS = {
    "": BY_ID,
    "phone": Order(("phone",)),
    "phone desc": Order(("phone",), is_descending=True),
    "createTime": Order(("create_time", "id")),
    "createTime desc": Order(("create_time", "id"), is_descending=True),
}


class ContactStatements(Store):
    metadata = metadata

    async def create_contacts(self, asked: Sequence[dict[str, Any]]) -> list[Contact]:
        """Those that were made, in the order of their phones: whose phone is a contact's already is left out.
        Unsubscribed where the phone is suppressed, whatever is asked.
        """
        given = json.dumps([self._given(values) for values in asked], ensure_ascii=False)
        return await CREATED.messages(self.driver, given=given)

    async def contact(self, id: str) -> Contact:
        """Refuses `ContactNotFound`."""
        found = await CONTACT.messages(self.driver, merchant_id=self.merchant_id, id=rows.uuid(id, ContactNotFound))
        if not found:
            raise ContactNotFound(id=id)
        return found[0]

    async def lock_contact(self, id: str) -> Contact:
        """The contact, which nobody else changes until this transaction ends. Refuses `ContactNotFound`."""
        query = select(*SHOWN).where(*self._contact(id)).with_for_update()
        return self._found(await self.connection.execute(query), id)

    async def contact_page(
        self, after: Sequence[object] | None, limit: int, chosen: Filter, order: Order = BY_ID
    ) -> list[Contact]:
        place = {f"after_{at}": part for at, part in enumerate(after or ())}
        values = chosen.values | place | {"merchant_id": self.merchant_id, "limit": limit}
        return await _page(chosen.shape, order, is_first=not after).messages(self.driver, **values)

    async def update_contact(self, id: str, values: dict[str, Any]) -> Contact:
        """Refuses `PhoneTaken`, `ContactNotFound`."""
        statement = update(contacts).where(*self._contact(id)).values(values | {"update_time": func.now()})
        return await self._written(statement, values, id)

    async def delete_contact(self, id: str) -> None:
        """Refuses `ContactNotFound`."""
        result = await self.connection.execute(delete(contacts).where(*self._contact(id)))
        if not result.rowcount:
            raise ContactNotFound(id=id)
        for table in (list_contacts, activities):
            mine = (table.c.contact_id == id, table.c.merchant_id == self.merchant_id)
            await self.connection.execute(delete(table).where(*mine))

    async def lock_phone(self, phone: str) -> Contact | None:
        """The contact with this phone, where there is one, which nobody else changes until this transaction ends."""
        mine = (contacts.c.merchant_id == self.merchant_id, contacts.c.phone == phone)
        row = (await self.connection.execute(select(*SHOWN).where(*mine).with_for_update())).one_or_none()
        return None if row is None else rows.message(Contact, row)

    async def lock_person(self, phone_hash: bytes) -> Contact | None:
        """As `lock_phone`, of whom only the hash is known."""
        mine = (contacts.c.merchant_id == self.merchant_id, contacts.c.phone_hash == phone_hash)
        row = (await self.connection.execute(select(*SHOWN).where(*mine).with_for_update())).one_or_none()
        return None if row is None else rows.message(Contact, row)

    async def count_phones(self, phones: Sequence[str]) -> int:
        """How many of them are contacts'. Looked up one by one: see docs/adr/0010."""
        parameters = {"merchant_id": self.merchant_id, "phones": list(phones)}
        return int((await self.connection.exec_driver_sql(KNOWN, parameters)).scalar_one())

    async def attribute_names(self) -> list[str]:
        """Of all contacts, sorted."""
        names = select(func.jsonb_object_keys(contacts.c.attributes)).where(contacts.c.merchant_id == self.merchant_id)
        return sorted(set((await self.connection.execute(names.distinct())).scalars()))

    async def everybody(self, chosen: Filter, page_size: int) -> AsyncIterator[list[Contact]]:
        """In the order of the phones, in pages of one cursor."""
        query = _chosen(select(*SHOWN), chosen).order_by(contacts.c.phone).execution_options(yield_per=page_size)
        result = await self.connection.stream(query, chosen.values | {"merchant_id": self.merchant_id})
        async for page in result.partitions():
            yield [rows.message(Contact, row) for row in page]

    def _given(self, values: dict[str, Any]) -> dict[str, Any]:
        """As PostgreSQL reads a row out of JSON."""
        return values | {
            "merchant_id": self.merchant_id,
            "phone_hash": f"\\x{values['phone_hash'].hex()}",
            "gender": Contact.Gender.Name(values["gender"]),
            "birthday": values["birthday"] or None,
            "subscription": Contact.Subscription.Name(values["subscription"]),
        }

    def _contact(self, id: str) -> tuple[Any, ...]:
        return contacts.c.merchant_id == self.merchant_id, contacts.c.id == rows.uuid(id, ContactNotFound)

    async def _written(self, statement: Any, values: dict[str, Any], id: str = "") -> Contact:
        try:
            result = await self.connection.execute(statement.returning(*SHOWN))
        except IntegrityError as error:
            if "contacts_phone_key" not in str(error.orig):
                raise
            raise PhoneTaken(field="contact.phone", phone=values["phone"]) from error
        return self._found(result, id)

    def _found(self, result: Any, id: str) -> Contact:
        row = result.one_or_none()
        if row is None:
            raise ContactNotFound(id=id)
        return rows.message(Contact, row)


@lru_cache(maxsize=128)
def _page(chosen: Filter, order: Order, *, is_first: bool) -> rows.Reading[Contact]:
    """Of all filters of this shape."""
    # The ids first: what a search looks at stands in an index with them, and the book is wide.
    keys = _chosen(select(*(contacts.c[name] for name in dict.fromkeys((*order.names, "id")))), chosen)
    if chosen.is_narrow and order != BY_ID:
        # Those are found first, perhaps a few, and not by a walk through the whole book in its order.
        found: FromClause = keys.cte("found").prefix_with("MATERIALIZED", dialect="postgresql")
    else:
        found = keys.subquery("found")
    ids = select(found.c.id).order_by(*order.by(found)).limit(bindparam("limit", type_=Integer))
    if not is_first:
        ids = ids.where(order.is_behind(found))
    book = select(*SHOWN).where(contacts.c.merchant_id == bindparam("merchant_id"))
    return rows.Reading(Contact, book.where(contacts.c.id.in_(ids.scalar_subquery())).order_by(*order.by(contacts)))


def _chosen(query: Select[Any], chosen: Filter) -> Select[Any]:
    """The values are bound by their names, so that a statement serves every filter of its shape."""
    query = query.where(contacts.c.merchant_id == bindparam("merchant_id"))
    query = query.where(*(contacts.c.search.like(bindparam(f"pattern_{at}")) for at in range(len(chosen.patterns))))
    if chosen.subscription:
        query = query.where(contacts.c.subscription == bindparam("subscription"))
    if chosen.tag:
        query = query.where(contacts.c.tags.contains(bindparam("tags", type_=ARRAY(TEXT))))
    if chosen.list_id:
        query = query.where(on_lists([bindparam("list_id", type_=list_contacts.c.list_id.type)]))
    return query
