"""Statements over what is held about one person: a place in the frozen batches, and how far an audience was frozen."""

from collections.abc import Iterable

from sqlalchemy import text, update

from kit.store import Store
from services.campaigns.tables import batches, campaigns

# Locked, since a payload that is read is written back.
HOLDING = """
SELECT id, payload FROM batches
WHERE merchant_id = :merchant_id AND id > :after AND (id = ANY(:ids) OR state <> 'DONE')
  AND position(convert_to(:phone, 'UTF8') IN payload) > 0
ORDER BY id LIMIT 1 FOR UPDATE
"""


class PrivacyStatements(Store):
    async def next_holding(self, phone: str, ids: Iterable[int], after: int) -> tuple[int, bytes] | None:
        """The next batch that names the phone, of these and of those that are not done."""
        parameters = {"merchant_id": self.merchant_id, "phone": phone, "ids": list(ids), "after": after}
        row = (await self.connection.execute(text(HOLDING), parameters)).one_or_none()
        return (row.id, row.payload) if row else None

    async def replace_payload(self, batch_id: int, payload: bytes) -> None:
        mine = (batches.c.merchant_id == self.merchant_id, batches.c.id == batch_id)
        await self.connection.execute(update(batches).where(*mine).values(payload=payload))

    async def forget_place(self, phone: str) -> None:
        """The last phone of an audience is of no use once it is frozen."""
        mine = (campaigns.c.merchant_id == self.merchant_id, campaigns.c.after_phone == phone, campaigns.c.frozen)
        await self.connection.execute(update(campaigns).where(*mine).values(after_phone=""))
