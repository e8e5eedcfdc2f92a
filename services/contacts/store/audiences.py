"""Statements over the audiences.

Whoever is read here is subscribed and not suppressed: both are asked, since an import that ran beside a STOP may have
written a subscribed contact after it.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, String, and_, func, not_, select, text
from sqlalchemy import cast as sql_cast
from sqlalchemy.dialects import postgresql
from sqlalchemy.sql.compiler import SQLCompiler

from astronote.contacts.v1.contacts_pb2 import Contact
from kit.store import Store
from services.contacts.rules import ATTRIBUTE, Selection
from services.contacts.store.rules import condition, on_lists
from services.contacts.tables import contacts, suppressions

# Looked up phone by phone, by scalar subqueries, which the planner can't turn into joins: in a book that was just
# imported it has no statistics, and its joins were seen to take two minutes where this takes 15 ms.
REFUSED = """
SELECT asked.phone FROM unnest(%(phones)s::text[]) AS asked (phone)
WHERE (
    SELECT true FROM contacts
    WHERE contacts.merchant_id = %(merchant_id)s AND contacts.phone = asked.phone
      AND contacts.subscription = 'SUBSCRIBED' AND (
          SELECT true FROM suppressions
          WHERE suppressions.merchant_id = %(merchant_id)s AND suppressions.phone_hash = contacts.phone_hash
      ) IS NOT TRUE
) IS NOT TRUE
"""
# Most of a book is read, so no nested loop is ever worth it, and in a book without statistics the planner may take one
# that reads all of it for each contact; and what is read is in memory, mostly, whatever the planner believes. The plan
# of a cursor is made for all rows, since readers read to the end.
PLANNING = text(
    "SET LOCAL enable_nestloop = off; SET LOCAL random_page_cost = 1.1; SET LOCAL cursor_tuple_fraction = 1"
)
# A count needs no order: the book is read as it lies or not at all, never row by row in the order of an index.
COUNTING = text("SET LOCAL enable_indexscan = off")
_DIALECT = postgresql.psycopg.dialect()  # type: ignore[no-untyped-call]
# Texts of a contact that a template may name; `attributes.<name>` besides.
MERGE_FIELDS: dict[str, ColumnElement[Any]] = {
    name: contacts.c[name] for name in ("first_name", "last_name", "email", "phone", "language", "time_zone")
} | {"birthday": func.coalesce(sql_cast(contacts.c.birthday, String), "")}


class AudienceStatements(Store):
    async def count_selected(self, selection: Selection) -> int:
        return await self._count(self._selected(select(func.count()).select_from(contacts), selection))

    async def count_opted_out(self, selection: Selection) -> int:
        """Those of the selection who may not be texted."""
        named = self._named(select(func.count()).select_from(contacts), selection)
        return await self._count(named.where(not_(self._is_textable())))

    async def selected(
        self, selection: Selection, fields: Sequence[str], after_phone: str, page_size: int
    ) -> AsyncIterator[list[tuple[Any, ...]]]:
        """Pages of (16 bytes of the id, phone, the fields' values), in the order of the phones.

        One cursor for all pages: what was planned and hashed for the first serves the rest, and psycopg's own tuples
        in binary form cost a third of SQLAlchemy's rows.
        """
        shown = [func.uuid_send(contacts.c.id), contacts.c.phone, *map(_shown, fields)]
        query = self._selected(select(*shown), selection).order_by(contacts.c.phone)
        compiled = query.where(contacts.c.phone > after_phone).compile(
            dialect=_DIALECT, compile_kwargs={"render_postcompile": True}
        )
        await self.connection.execute(PLANNING)
        async with self.driver.cursor("audience") as cursor:
            await cursor.execute(str(compiled), _parameters(compiled), binary=True)
            while page := await cursor.fetchmany(page_size):
                yield page

    async def untextable(self, phones: Sequence[str]) -> list[str]:
        """Those of the phones that may not be texted."""
        async with self.driver.cursor() as cursor:
            await cursor.execute(REFUSED, {"merchant_id": self.merchant_id, "phones": sorted(phones)})
            return [row[0] for row in await cursor.fetchall()]

    async def _count(self, query: Select[Any]) -> int:
        await self.connection.execute(PLANNING)
        await self.connection.execute(COUNTING)
        return int((await self.connection.execute(query)).scalar_one())

    def _selected(self, query: Select[Any], selection: Selection) -> Select[Any]:
        """Those of the selection who may be texted."""
        return self._named(query, selection).where(self._is_textable())

    def _is_textable(self) -> ColumnElement[bool]:
        suppressed = (
            select(suppressions.c.phone_hash)
            .where(suppressions.c.merchant_id == self.merchant_id, suppressions.c.phone_hash == contacts.c.phone_hash)
            .exists()
        )
        return and_(contacts.c.subscription == Contact.SUBSCRIBED, ~suppressed)

    def _named(self, query: Select[Any], selection: Selection) -> Select[Any]:
        """Those of the selection, whether or not they may be texted."""
        query = query.where(contacts.c.merchant_id == self.merchant_id)
        if selection.rule is not None:
            query = query.where(condition(selection.rule, selection.moment))
        if selection.contact_ids:
            query = query.where(contacts.c.id.in_(selection.contact_ids))
        if selection.list_ids:
            query = query.where(on_lists(selection.list_ids))
        if selection.exclude_list_ids:
            query = query.where(~on_lists(selection.exclude_list_ids))
        return query.where(*(not_(condition(rule, selection.moment)) for rule in selection.exclude_rules))


def _shown(field: str) -> ColumnElement[Any]:
    if field.startswith(ATTRIBUTE):
        return func.coalesce(contacts.c.attributes.op("->>")(field.removeprefix(ATTRIBUTE)), "")
    return MERGE_FIELDS[field]


def _parameters(compiled: SQLCompiler) -> dict[str, Any]:
    """As the columns' types hand them to the driver; the members of an IN are handed over as they are."""
    parameters = dict(compiled.params)
    for name, bind in compiled.binds.items():
        if name in parameters and (process := bind.type.bind_processor(_DIALECT)):
            parameters[name] = process(parameters[name])
    return parameters
