"""Statements over holds."""

from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert

from astronote.wallet.v1.wallet_pb2 import HoldRecord
from kit import rows
from kit.store import Store
from services.wallet.errors import HoldNotFound
from services.wallet.store import numbered
from services.wallet.tables import holds

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

    async def change_hold(self, hold: HoldRecord) -> None:
        values = {"captured": hold.captured, "released": hold.released, "state": hold.state}
        await self.connection.execute(update(holds).where(*self._hold(hold.id)).values(values))

    async def holds(self, after: int | None, limit: int) -> list[tuple[int, HoldRecord]]:
        """With their numbers, newest first."""
        query = select(holds.c.number, *HOLD)
        found = await self.connection.execute(numbered.page(query, holds, self.merchant_id, after, limit))
        return [numbered.message(HoldRecord, row) for row in found]

    def _hold(self, id: str) -> tuple[Any, Any]:
        return holds.c.merchant_id == self.merchant_id, holds.c.id == id
