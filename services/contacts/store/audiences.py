"""Statements over the audiences.

Whoever is read here is subscribed and not suppressed: both are asked, since an import that ran beside a STOP may have
written a subscribed contact after it.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from sqlalchemy import text

from kit.store import Store

# Looked up row by row, by scalar subqueries, which the planner can't turn into joins: in a book that was just imported
# it has no statistics, and its joins were seen to take two minutes where this takes 15 ms.
IS_SUPPRESSED = """(
    SELECT true FROM suppressions
    WHERE suppressions.merchant_id = %(merchant_id)s AND suppressions.phone_hash = contacts.phone_hash
)"""
IS_TEXTABLE = f"""
    contacts.merchant_id = %(merchant_id)s AND contacts.subscription = 'SUBSCRIBED' AND {IS_SUPPRESSED} IS NOT TRUE
"""
REFUSED = f"""
SELECT asked.phone FROM unnest(%(phones)s::text[]) AS asked (phone)
WHERE (SELECT true FROM contacts WHERE contacts.phone = asked.phone AND {IS_TEXTABLE}) IS NOT TRUE
"""
# Texts of a contact that a template may name; `attributes.<name>` besides.
MERGE_FIELDS = {
    name: f"contacts.{name}" for name in ("first_name", "last_name", "email", "phone", "language", "time_zone")
} | {"birthday": "coalesce(contacts.birthday::text, '')"}
ATTRIBUTE = "attributes."


class AudienceStatements(Store):
    async def count_audience(self) -> int:
        query = f"SELECT count(*) FROM contacts WHERE {IS_TEXTABLE}"
        result = await self.connection.exec_driver_sql(query, {"merchant_id": self.merchant_id})
        return int(result.scalar_one())

    async def audience_members(
        self, fields: Sequence[str], after_phone: str, page_size: int
    ) -> AsyncIterator[list[tuple[Any, ...]]]:
        """Pages of (16 bytes of the id, phone, the fields' values), in the order of the phones.

        One cursor for all pages: what was planned and hashed for the first serves the rest, and psycopg's own tuples
        in binary form cost a third of SQLAlchemy's rows.
        """
        parameters: dict[str, Any] = {"merchant_id": self.merchant_id, "after_phone": after_phone}
        shown = ["uuid_send(contacts.id)", "contacts.phone"]
        for index, field in enumerate(fields):
            if field.startswith(ATTRIBUTE):
                parameters[f"name{index}"] = field.removeprefix(ATTRIBUTE)
                shown.append(f"coalesce(contacts.attributes ->> %(name{index})s::text, '')")
            else:
                shown.append(MERGE_FIELDS[field])
        query = f"SELECT {', '.join(shown)} FROM contacts WHERE {IS_TEXTABLE}"
        query += " AND contacts.phone > %(after_phone)s ORDER BY contacts.phone"
        # Readers read to the end, so the plan is made for all rows.
        await self.connection.execute(text("SET LOCAL cursor_tuple_fraction = 1"))
        async with self.driver.cursor("audience") as cursor:
            await cursor.execute(query, parameters, binary=True)
            while page := await cursor.fetchmany(page_size):
                yield page

    async def untextable(self, phones: Sequence[str]) -> list[str]:
        """Those of the phones that may not be texted."""
        async with self.driver.cursor() as cursor:
            await cursor.execute(REFUSED, {"merchant_id": self.merchant_id, "phones": sorted(phones)})
            return [row[0] for row in await cursor.fetchall()]
