"""Statements over the credits that expire. Whoever changes them has the lock of the wallet."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import bindparam, select, update
from sqlalchemy.dialects.postgresql import insert

from astronote.wallet.v1.promotions_pb2 import Promotion
from kit import rows
from kit.store import Store
from services.wallet.promotions import PROMOTIONS_MAX
from services.wallet.tables import promotions

SHOWN = rows.columns(Promotion, promotions)


class PromotionStatements(Store):
    async def promotions(self) -> tuple[list[Promotion], int]:
        """Those with something left, soonest first, and how many credits were used when that was counted."""
        query = (
            select(*SHOWN, promotions.c.used)
            .where(promotions.c.merchant_id == self.merchant_id, promotions.c.remaining > 0)
            .order_by(promotions.c.expire_time, promotions.c.create_time, promotions.c.id)
            .limit(PROMOTIONS_MAX)
        )
        found = (await self.connection.execute(query)).all()
        shown = [Promotion(**{column.name: row._mapping[column.name] for column in SHOWN}) for row in found]
        # All of a wallet are counted at once.
        return shown, found[0].used if found else 0

    async def add_promotion(self, promotion: Promotion, used: int) -> None:
        row = rows.values(promotion, promotions) | {"merchant_id": self.merchant_id, "used": used}
        await self.connection.execute(insert(promotions).values(row))

    async def counted(self, found: Sequence[Promotion], used: int) -> None:
        """Keeps what is left of them, now that so many credits are used."""
        if not found:
            return
        mine = (promotions.c.merchant_id == self.merchant_id, promotions.c.id == bindparam("promotion_id"))
        kept = update(promotions).where(*mine).values(remaining=bindparam("left"), used=used)
        await self.connection.execute(kept, [{"promotion_id": each.id, "left": each.remaining} for each in found])

    async def expired_merchants(self, now: datetime, limit: int) -> list[str]:
        """Merchants who have a promotion that has ended. Over all of them."""
        due = (promotions.c.remaining > 0, promotions.c.expire_time <= now)
        query = select(promotions.c.merchant_id).distinct().where(*due).limit(limit)
        return list((await self.connection.execute(query)).scalars())
