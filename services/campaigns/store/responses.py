"""Statements over what people did with the links of their texts, and the counts of it by campaign."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert

from astronote.sender.v1.batches_pb2 import SendBatch
from kit.rows import AnyRow
from kit.store import Store
from services.campaigns.codes import place
from services.campaigns.errors import LinkNotFound
from services.campaigns.sent import Sent
from services.campaigns.tables import batches, campaigns, response_counts, responses

# Above it the origin's bit is set, which no text of a campaign has.
BATCH_IDS = 1 << 45
# So many readers of one campaign are counted at once; a report adds up as many rows.
SHARDS = 16
COUNTS = ("views", "viewers", "redemptions", "unsubscribes")


class ResponseStatements(Store):
    async def sent(self, message_id: int | None) -> Sent:
        """The text that has this id: the frozen batch says whose it is. Refuses `LinkNotFound`."""
        batch_id, index = place(message_id or 0)
        page = (campaigns.c.company, campaigns.c.sender_name, campaigns.c.time_zone, campaigns.c.offer_link)
        query = (
            select(batches.c.merchant_id, batches.c.campaign_id, batches.c.payload, *page, campaigns.c.offer)
            .join(campaigns, campaigns.c.id == batches.c.campaign_id)
            .where(batches.c.id == batch_id, *self._mine(batches))
        )
        row = (await self.connection.execute(query)).one_or_none() if batch_id < BATCH_IDS else None
        recipients = SendBatch.FromString(row.payload).recipients if row else []
        if row is None or index >= len(recipients) or not recipients[index].phone:
            raise LinkNotFound
        return Sent(message_id or 0, row, recipients[index])

    async def response(self, sent: Sent, till_codes: Iterable[str]) -> AnyRow:
        """The row of a text, locked; made with the first of the codes that is free where nobody has responded yet."""
        query = select(responses).where(responses.c.message_id == sent.message_id, *self._mine(responses))
        values = {
            "message_id": sent.message_id,
            "merchant_id": sent.merchant_id,
            "campaign_id": sent.campaign_id,
            "contact_id": sent.contact_id or None,
        }
        for till_code in till_codes:
            row = (await self.connection.execute(query.with_for_update())).one_or_none()
            if row is not None:
                return row
            made = insert(responses).values(**values, till_code=till_code).on_conflict_do_nothing()
            await self.connection.execute(made)
        return (await self.connection.execute(query.with_for_update())).one()

    async def response_at_till(self, till_code: str) -> AnyRow | None:
        """Locked."""
        mine = (responses.c.merchant_id == self.merchant_id, responses.c.till_code == till_code)
        return (await self.connection.execute(select(responses).where(*mine).with_for_update())).one_or_none()

    async def note_view(self, row: AnyRow) -> None:
        await self._change(row, views=row.views + 1)
        await self._count(row, views=1, viewers=0 if row.views else 1)

    async def note_redemption(self, row: AnyRow, time: datetime, user_id: str, api_key_id: str) -> AnyRow:
        values = {"redeem_time": time, "redeem_user_id": user_id, "redeem_api_key_id": api_key_id}
        changed = await self._change(row, **values)
        await self._count(row, redemptions=1)
        return changed

    async def note_unsubscribe(self, row: AnyRow, time: datetime) -> None:
        """Counts a person once."""
        if row.unsubscribe_time is None:
            await self._change(row, unsubscribe_time=time)
            await self._count(row, unsubscribes=1)

    async def response_counts(self, campaign_id: str) -> dict[str, int]:
        """By the name of the report's field."""
        sums = [func.coalesce(func.sum(response_counts.c[name]), 0).label(name) for name in COUNTS]
        query = select(*sums).where(response_counts.c.campaign_id == campaign_id, *self._mine(response_counts))
        return dict((await self.connection.execute(query)).one()._mapping)

    async def _change(self, row: AnyRow, **values: Any) -> AnyRow:
        changed = update(responses).where(responses.c.message_id == row.message_id).values(values)
        found: AnyRow = (await self.connection.execute(changed.returning(responses))).one()
        return found

    async def _count(self, row: AnyRow, **added: int) -> None:
        key = {"campaign_id": row.campaign_id, "shard": row.message_id % SHARDS, "merchant_id": row.merchant_id}
        more = {name: response_counts.c[name] + count for name, count in added.items()}
        counted = insert(response_counts).values(**key, **added)
        await self.connection.execute(counted.on_conflict_do_update(index_elements=["campaign_id", "shard"], set_=more))

    def _mine(self, table: Any) -> tuple[Any, ...]:
        return (table.c.merchant_id == self.merchant_id,) if self.merchant_id else ()
