"""Counts over all merchants, for whoever watches."""

from sqlalchemy import func, select, update

from astronote.campaigns.v1.campaigns_pb2 import Campaign
from astronote.campaigns.v1.operations_pb2 import OpenBatch
from kit import rows
from kit.rows import AnyRow
from kit.store import Store
from services.campaigns.tables import batches, campaigns

OUT = batches.c.state.in_(["PUBLISHED", "TAKEN"])


class FigureStatements(Store):
    async def out_page(self, generation_min: int, after: int, limit: int) -> list[OpenBatch]:
        """Batches that are with the senders and were published so often, of campaigns that go on, by id."""
        query = (
            select(*rows.columns(OpenBatch, batches))
            .join(campaigns, campaigns.c.id == batches.c.campaign_id)
            .where(campaigns.c.state.in_([Campaign.SENDING, Campaign.CANCELLED]), ~campaigns.c.final, OUT)
            .where(batches.c.generation >= generation_min, batches.c.id > after)
            .order_by(batches.c.id)
            .limit(limit)
        )
        return [rows.message(OpenBatch, row) for row in await self.connection.execute(query)]

    async def publish_again(self, ids: list[int]) -> int:
        """Has the sweep publish these at once, as far as they are with the senders; answers with how many."""
        again = update(batches).where(batches.c.id.in_(ids), OUT).values(publish_time=None)
        return (await self.connection.execute(again)).rowcount

    async def open_campaigns(self) -> dict[str, int]:
        """How many have no final report, by state."""
        query = select(campaigns.c.state, func.count()).where(~campaigns.c.final).group_by(campaigns.c.state)
        return {Campaign.State.Name(state): count for state, count in await self.connection.execute(query)}

    async def open_batches(self) -> list[AnyRow]:
        """By state, those of campaigns that are sending: `(state, batches, recipients, generation)`, the highest."""
        query = (
            select(
                batches.c.state,
                func.count().label("batches"),
                func.sum(batches.c.recipient_count).label("recipients"),
                func.max(batches.c.generation).label("generation"),
            )
            .join(campaigns, campaigns.c.id == batches.c.campaign_id)
            .where(campaigns.c.state == Campaign.SENDING, ~campaigns.c.final, batches.c.state != "DONE")
            .group_by(batches.c.state)
        )
        return list((await self.connection.execute(query)).all())
