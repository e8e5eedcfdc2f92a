"""Statements over the suppressions: phones that may not be texted, whether or not there is a contact."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import exists, select
from sqlalchemy.dialects.postgresql import insert

from kit.store import Store
from services.contacts.tables import suppressions

OPTED_OUT = """
SELECT asked.phone FROM unnest(%(phones)s::text[], %(hashes)s::bytea[]) AS asked (phone, phone_hash)
WHERE EXISTS (
    SELECT FROM suppressions
    WHERE suppressions.merchant_id = %(merchant_id)s AND suppressions.phone_hash = asked.phone_hash
) OR EXISTS (
    SELECT FROM contacts
    WHERE contacts.merchant_id = %(merchant_id)s AND contacts.phone = asked.phone
      AND contacts.subscription <> 'SUBSCRIBED'
)
"""


class SuppressionStatements(Store):
    async def suppressed(self, phone_hash: bytes) -> bool:
        query = select(exists().where(*self._suppression(phone_hash)))
        return bool((await self.connection.execute(query)).scalar_one())

    async def suppress(self, phone_hash: bytes, source: str) -> bool:
        """False when the phone is suppressed already."""
        row = {"merchant_id": self.merchant_id, "phone_hash": phone_hash, "source": source}
        result = await self.connection.execute(insert(suppressions).values(row).on_conflict_do_nothing())
        return bool(result.rowcount)

    async def opted_out(self, phones: Sequence[str], hashes: Sequence[bytes]) -> list[str]:
        """Those of the phones (with their hashes) whose owner said no, whether or not they are contacts."""
        parameters = {"merchant_id": self.merchant_id, "phones": list(phones), "hashes": list(hashes)}
        result = await self.connection.exec_driver_sql(OPTED_OUT, parameters)
        return list(result.scalars())

    def _suppression(self, phone_hash: bytes) -> tuple[Any, ...]:
        return suppressions.c.merchant_id == self.merchant_id, suppressions.c.phone_hash == phone_hash
