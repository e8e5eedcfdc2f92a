"""Statements over holds."""

from datetime import datetime
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert

from astronote.wallet.v1.wallet_pb2 import HoldRecord
from kit import rows
from kit.store import Store
from services.wallet.errors import HoldNotFound
from services.wallet.store import numbered
from services.wallet.tables import holds

# What comes back on the day that it was held on may be held again that day.
CHANGE = text("""
WITH changed AS (
    UPDATE holds h SET captured = :captured, released = :released, state = :state
    WHERE h.merchant_id = :merchant_id AND h.id = :id RETURNING h.create_time
)
UPDATE spend_limits l SET used = greatest(0, l.used - :given_back) FROM changed
WHERE l.merchant_id = :merchant_id AND :given_back > 0
  AND l.day = CAST(changed.create_time AT TIME ZONE l.time_zone AS date)
""")
HOLD = rows.columns(HoldRecord, holds)


class HoldStatements(Store):
    async def add_hold(self, hold: HoldRecord, now: datetime) -> bool:
        """False where the merchant has a hold of this id; one that is being made is waited for."""
        row = {"merchant_id": self.merchant_id, "id": hold.id, "amount": hold.amount, "state": hold.state}
        result = await self.connection.execute(
            insert(holds).values(row | {"create_time": now}).on_conflict_do_nothing()
        )
        return bool(result.rowcount)

    async def locked_hold(self, id: str) -> HoldRecord:
        """Locked until the commit. Refuses `HoldNotFound`."""
        query = select(*HOLD).where(*self._hold(id)).with_for_update()
        row = (await self.connection.execute(query)).one_or_none()
        if row is None:
            raise HoldNotFound(hold_id=id)
        return rows.message(HoldRecord, row)

    async def change_hold(self, hold: HoldRecord, given_back: int) -> None:
        """So much of it was released just now."""
        row = {"captured": hold.captured, "released": hold.released, "state": HoldRecord.State.Name(hold.state)}
        row |= {"merchant_id": self.merchant_id, "id": hold.id, "given_back": given_back}
        await self.connection.execute(CHANGE, row)

    async def holds(self, after: int | None, limit: int) -> list[tuple[int, HoldRecord]]:
        """With their numbers, newest first."""
        query = select(holds.c.number, *HOLD)
        found = await self.connection.execute(numbered.page(query, holds, self.merchant_id, after, limit))
        return [numbered.message(HoldRecord, row) for row in found]

    def _hold(self, id: str) -> tuple[Any, Any]:
        return holds.c.merchant_id == self.merchant_id, holds.c.id == id
