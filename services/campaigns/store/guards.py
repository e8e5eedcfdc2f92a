"""Statements that end or pause what ought not to go on by itself."""

from typing import Any

from sqlalchemy import Integer, case, cast, func, or_, select, update

from astronote.campaigns.v1.campaigns_pb2 import Campaign
from kit.rows import AnyRow
from services.campaigns.claims import OFFER_EXPIRED
from services.campaigns.states import SPIKES
from services.campaigns.store.batches import HAS_EXPIRED_OFFER
from services.campaigns.store.campaigns import WAITING, CampaignStatements
from services.campaigns.tables import batches, campaigns, response_counts

KNOWN = ("accepted", "delivered", "failed", "rejected")
FAILURES, OPT_OUTS = SPIKES


class GuardStatements(CampaignStatements):
    async def end_offers(self, limit: int) -> int:
        """What nobody had begun of so many campaigns whose offer has expired is skipped; returns how many they were."""
        mine = (batches.c.campaign_id == campaigns.c.id, batches.c.state.in_(WAITING))
        left = select(batches.c.id).where(*mine).exists()
        held = (campaigns.c.state.in_([Campaign.SENDING, Campaign.PAUSED]), campaigns.c.credits_held > 0)
        over = select(campaigns).where(~campaigns.c.final, *held, HAS_EXPIRED_OFFER, left).limit(limit)
        found = (await self.connection.execute(over.with_for_update(skip_locked=True))).all()
        for row in found:
            dropped = row.skipped.get(OFFER_EXPIRED, 0) + await self.drop_batches(row.id)
            await self.update_campaign(row.id, skipped=row.skipped | {OFFER_EXPIRED: dropped})
            await self.finish_batches(row.id, [])
        return len(found)

    async def pause_spiking(self, texts_min: int, failure_share: float, opt_out_share: float) -> list[AnyRow]:
        """Pauses what has too many failures or opt-outs among the texts whose fate is known; its id and the reason."""
        counts = {name: func.coalesce(cast(campaigns.c.tally[name].astext, Integer), 0) for name in KNOWN}
        known: Any = sum(counts.values())
        opted_out = (
            select(func.coalesce(func.sum(response_counts.c.unsubscribes), 0))
            .where(response_counts.c.campaign_id == campaigns.c.id)
            .scalar_subquery()
        )
        fails = counts["failed"] + counts["rejected"] >= known * failure_share
        going = (campaigns.c.state == Campaign.SENDING, ~campaigns.c.final, campaigns.c.guarded)
        spiking = update(campaigns).where(*going, known >= texts_min, or_(fails, opted_out >= known * opt_out_share))
        paused = spiking.values(state=Campaign.PAUSED, failure=case((fails, FAILURES), else_=OPT_OUTS))
        return list((await self.connection.execute(paused.returning(campaigns.c.id, campaigns.c.failure))).all())
