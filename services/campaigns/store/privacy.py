"""Statements over what is held about people: their places in the frozen batches, and what they did with links."""

from collections.abc import AsyncIterator, Iterable

from sqlalchemy import delete, func, select, text, update

from astronote.campaigns.v1.privacy_pb2 import ExportPersonResponse
from kit import rows
from kit.store import Store
from services.campaigns.tables import batches, campaigns, hold_outs, responses

# Locked, since a payload that is read is written back.
HOLDING = """
SELECT id, payload FROM batches
WHERE merchant_id = :merchant_id AND id > :after AND (id = ANY(:ids) OR state <> 'DONE')
  AND position(convert_to(:phone, 'UTF8') IN payload) > 0
ORDER BY id LIMIT 1 FOR UPDATE
"""
RESPONSE = rows.columns(ExportPersonResponse, responses)


class PrivacyStatements(Store):
    async def responses_to(self, message_ids: Iterable[int]) -> AsyncIterator[ExportPersonResponse]:
        """What was done with the links of these texts, the newest first."""
        mine = (responses.c.merchant_id == self.merchant_id, responses.c.message_id.in_(list(message_ids)))
        query = select(*RESPONSE).where(*mine).order_by(responses.c.message_id.desc())
        async for row in await self.connection.stream(query):
            yield rows.message(ExportPersonResponse, row)

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

    async def forget_readers(self, seconds: float, limit: int) -> bool:
        """Takes people and texts out of so many batches of a campaign that ended so long ago; false where there is
        none. With its last batch the campaign is done with.
        """
        age = func.make_interval(0, 0, 0, 0, 0, 0, seconds)
        old = (campaigns.c.final, ~campaigns.c.nameless, campaigns.c.finish_time < func.now() - age)
        due = select(campaigns.c.id).where(*old).order_by(campaigns.c.finish_time).limit(1)
        campaign_id = await self.connection.scalar(due.with_for_update(skip_locked=True))
        if campaign_id is None:
            return False
        named = select(batches.c.id).where(batches.c.campaign_id == campaign_id, batches.c.payload != b"").limit(limit)
        forgotten = update(batches).where(batches.c.id.in_(named.scalar_subquery())).values(payload=b"")
        if (await self.connection.execute(forgotten)).rowcount < limit:
            done = update(campaigns).where(campaigns.c.id == campaign_id).values(nameless=True, after_phone="")
            await self.connection.execute(done)
            await self.connection.execute(delete(hold_outs).where(hold_outs.c.campaign_id == campaign_id))
        return True
