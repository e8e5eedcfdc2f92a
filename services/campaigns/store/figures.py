"""Counts over all merchants, for whoever watches."""

from sqlalchemy import func, select

from astronote.campaigns.v1.campaigns_pb2 import Campaign
from kit.rows import AnyRow
from kit.store import Store
from services.campaigns.tables import batches, campaigns


class FigureStatements(Store):
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
