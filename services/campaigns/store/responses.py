"""Statements over what people did with the links of their texts, and the counts of it by campaign."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, case, func, or_, select, true, update
from sqlalchemy.dialects.postgresql import insert

from astronote.campaigns.v1.reports_pb2 import Response
from astronote.sender.v1.batches_pb2 import SendBatch
from kit import rows
from kit.rows import AnyRow
from kit.store import Store
from services.campaigns.codes import place
from services.campaigns.errors import LinkNotFound
from services.campaigns.sent import Sent
from services.campaigns.tables import (
    LINK_RESPONSES,
    RESPONSES,
    batches,
    campaigns,
    link_counts,
    response_counts,
    responses,
)

# Above it the origin's bit is set, which no text of a campaign has.
BATCH_IDS = 1 << 45
# So many readers of one text of a campaign are counted at once; a report adds up as many rows. The second text's shards
# follow those of the first.
SHARDS = 16
# What the pages of a campaign say, and where its links lead.
PAGE = (
    campaigns.c.company,
    campaigns.c.sender_name,
    campaigns.c.time_zone,
    campaigns.c.offer_link,
    campaigns.c.offer,
    campaigns.c.text,
    campaigns.c.track_links,
    campaigns.c.experiment,
)
# How long ago the senders got the batch; none where it was handed to them again, later than the text may have gone out.
_AGE = func.extract("epoch", func.now() - batches.c.publish_time)
_SENT_SECONDS = case((batches.c.generation == 1, _AGE)).label("sent_seconds")


SHOWN = rows.columns(Response, responses)
# Who opened the page only as a machine has a row, and has done nothing.
_DID_ANYTHING = or_(
    responses.c.views > 0,
    responses.c.clicks > 0,
    responses.c.redeem_time.is_not(None),
    responses.c.unsubscribe_time.is_not(None),
)
_DID: Mapping[int, Sequence[ColumnElement[bool]]] = {
    Response.KIND_UNSPECIFIED: [_DID_ANYTHING],
    Response.VIEWED: [responses.c.views > 0],
    Response.CLICKED: [responses.c.clicks > 0],
    Response.REDEEMED: [responses.c.redeem_time.is_not(None)],
    Response.UNSUBSCRIBED: [responses.c.unsubscribe_time.is_not(None)],
}


class ResponseStatements(Store):
    async def sent(self, message_id: int | None) -> Sent:
        """The text that has this id: the frozen batch says whose it is. Refuses `LinkNotFound`."""
        batch_id, index = place(message_id or 0)
        query = (
            select(batches.c.merchant_id, batches.c.campaign_id, batches.c.payload, _SENT_SECONDS, *PAGE)
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
            "variant": sent.variant,
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

    async def note_view(self, sent: Sent, row: AnyRow, *, by_machine: bool) -> None:
        if by_machine:
            await self._count(sent, machine_views=1)
        else:
            await self._change(row, views=row.views + 1)
            await self._count(sent, views=1, viewers=0 if row.views else 1)

    async def note_click(self, sent: Sent, row: AnyRow, link: int, time: datetime) -> None:
        """A person followed a link of the text, from 1."""
        bit = 1 << (link - 1)
        followed = {"clicks": row.clicks + 1, "clicked_links": row.clicked_links | bit}
        await self._change(row, **followed, click_time=row.click_time or time)
        await self._count(sent, clicks=1, clickers=0 if row.clicks else 1)
        await self._count_link(sent, link, clicks=1, clickers=0 if row.clicked_links & bit else 1)

    async def note_machine_click(self, sent: Sent, link: int) -> None:
        """Leaves no row of the person, who has done nothing."""
        await self._count(sent, machine_clicks=1)
        await self._count_link(sent, link, machine_clicks=1)

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
        sums = [func.coalesce(func.sum(response_counts.c[name]), 0).label(name) for name in RESPONSES]
        query = select(*sums).where(response_counts.c.campaign_id == campaign_id, *self._mine(response_counts))
        return dict((await self.connection.execute(query)).one()._mapping)

    async def variant_counts(self, campaign_id: str) -> dict[int, AnyRow]:
        """By the place of the text."""
        variant = (response_counts.c.shard // SHARDS).label("variant")
        sums = [func.sum(response_counts.c[name]).label(name) for name in RESPONSES]
        query = select(variant, *sums).where(response_counts.c.campaign_id == campaign_id)
        found = await self.connection.execute(query.where(*self._mine(response_counts)).group_by(variant))
        return {row.variant: row for row in found}

    async def link_counts(self, campaign_id: str) -> list[AnyRow]:
        """By text and link."""
        variant = (link_counts.c.shard // SHARDS).label("variant")
        sums = [func.sum(link_counts.c[name]).label(name) for name in LINK_RESPONSES]
        query = select(variant, link_counts.c.link, *sums).where(link_counts.c.campaign_id == campaign_id)
        query = query.where(*self._mine(link_counts)).group_by(variant, link_counts.c.link)
        return list((await self.connection.execute(query)).all())

    async def response_page(
        self, campaign_id: str, kind: Response.Kind.ValueType, after: int | None, limit: int
    ) -> list[Response]:
        """In the order of the messages."""
        query = select(*SHOWN).where(responses.c.campaign_id == campaign_id, *self._mine(responses), *_DID[kind])
        if after is not None:
            query = query.where(responses.c.message_id > after)
        found = await self.connection.execute(query.order_by(responses.c.message_id).limit(limit))
        return [rows.message(Response, row) for row in found]

    async def _change(self, row: AnyRow, **values: Any) -> AnyRow:
        changed = update(responses).where(responses.c.message_id == row.message_id).values(values)
        found: AnyRow = (await self.connection.execute(changed.returning(responses))).one()
        return found

    async def _count(self, of: Sent | AnyRow, **added: int) -> None:
        key = _shard(of)
        more = {name: response_counts.c[name] + count for name, count in added.items()}
        counted = insert(response_counts).values(**key, **added, has_news=True)
        more["has_news"] = true()
        await self.connection.execute(counted.on_conflict_do_update(index_elements=["campaign_id", "shard"], set_=more))

    async def _count_link(self, of: Sent | AnyRow, link: int, **added: int) -> None:
        more = {name: link_counts.c[name] + count for name, count in added.items()}
        counted = insert(link_counts).values(**_shard(of), link=link, **added)
        keys = ["campaign_id", "shard", "link"]
        await self.connection.execute(counted.on_conflict_do_update(index_elements=keys, set_=more))

    def _mine(self, table: Any) -> tuple[Any, ...]:
        return (table.c.merchant_id == self.merchant_id,) if self.merchant_id else ()


def _shard(of: Sent | AnyRow) -> dict[str, Any]:
    shard = of.variant * SHARDS + of.message_id % SHARDS
    return {"campaign_id": of.campaign_id, "shard": shard, "merchant_id": of.merchant_id}
