"""Statements over batches: dispatch, claims, and what is swept up."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import DateTime, cast, false, func, or_, select, text, update

from astronote.campaigns.v1.campaigns_pb2 import Campaign, ClaimBatchResponse
from kit.rows import AnyRow, one_of
from kit.store import Store
from services.campaigns import quiet, zones
from services.campaigns.claims import Claim, decide
from services.campaigns.tables import batches, campaigns

UTC = ZoneInfo("UTC")
# Whoever dispatches looks at least so often.
LATE_SECONDS = 5
HAS_EXPIRED_OFFER = cast(campaigns.c.offer["expireTime"].astext, DateTime(timezone=True)) <= func.now()
PUBLISHED = (batches.c.id, batches.c.campaign_id, batches.c.generation, batches.c.expedited, batches.c.payload)
_CLAIMED = (
    campaigns.c.state,
    campaigns.c.time_zone,
    campaigns.c.quiet_start,
    campaigns.c.quiet_end,
    func.coalesce(HAS_EXPIRED_OFFER, false()).label("is_offer_over"),
)

# Campaigns without room, or with nothing that is due yet, are left out before the limit: any number of them may stand
# still, and none holds up the rest.
_DISPATCH = text("""
    WITH going AS (
        SELECT c.id, CASE WHEN c.throttle_per_hour > 0 THEN 1 ELSE out.room END AS room
        FROM campaigns c CROSS JOIN LATERAL (
            SELECT :ahead - count(*) AS room FROM batches b
            WHERE b.campaign_id = c.id AND b.state IN ('PUBLISHED', 'TAKEN')
        ) out
        WHERE c.state = 'SENDING' AND NOT c.final AND out.room > 0 AND c.pace_time <= now()
          AND EXISTS (
              SELECT FROM batches b WHERE b.campaign_id = c.id AND b.state = 'READY'
                AND (b.due_time IS NULL OR b.due_time <= now())
          )
        ORDER BY c.news_time
        LIMIT 50
        FOR UPDATE OF c SKIP LOCKED
    ), due AS (
        SELECT b.id FROM going g CROSS JOIN LATERAL (
            SELECT id FROM batches WHERE campaign_id = g.id AND state = 'READY'
              AND (due_time IS NULL OR due_time <= now())
            ORDER BY number LIMIT g.room
        ) b
        LIMIT :limit
    ), out AS (
        UPDATE batches SET state = 'PUBLISHED', generation = generation + 1, publish_time = now()
        FROM due WHERE batches.id = due.id AND batches.state = 'READY'
        RETURNING batches.id, batches.campaign_id, batches.generation, batches.expedited, batches.payload,
                  batches.recipient_count
    ), paced AS (
        -- What the last look was late by is made up for; what a pause or a night kept back is not.
        UPDATE campaigns c SET pace_time = greatest(c.pace_time, now() - make_interval(secs => :late_seconds))
            + make_interval(secs => out.recipient_count * 3600.0 / c.throttle_per_hour)
        FROM out WHERE c.id = out.campaign_id AND c.throttle_per_hour > 0
    )
    SELECT id, campaign_id, generation, expedited, payload FROM out
""")


class BatchStatements(Store):
    async def dispatch(self, ahead: int, limit: int) -> list[AnyRow]:
        """Takes the batches that are due, oldest first, so that no campaign has more than `ahead` with the senders; of
        one that is throttled, one at a time.
        """
        parameters = {"ahead": ahead, "limit": limit, "late_seconds": LATE_SECONDS}
        return list((await self.connection.execute(_DISPATCH, parameters)).all())

    async def return_batches(self, ids: list[int]) -> None:
        """The broker did not take them: they are due again."""
        mine = (batches.c.id.in_(ids), batches.c.state == "PUBLISHED")
        await self.connection.execute(update(batches).where(*mine).values(state="READY"))

    async def stale(self, seconds: float, limit: int) -> list[AnyRow]:
        """Batches that a lost stream or a dead sender may have forgotten, under their next generation."""
        # Each time twice as long: copies of one batch must not fill the queue while no sender can take it.
        age = func.make_interval(0, 0, 0, 0, 0, 0, seconds * func.power(2, func.least(batches.c.generation - 1, 6)))
        due = batches.c.due_time.is_(None) | (batches.c.due_time <= func.now())
        forgotten = (
            select(batches.c.id)
            .join(campaigns, campaigns.c.id == batches.c.campaign_id)
            .where(batches.c.state.in_(["PUBLISHED", "TAKEN"]))
            .where(batches.c.publish_time.is_(None) | (batches.c.publish_time < func.now() - age))
            .where(or_(campaigns.c.state == Campaign.CANCELLED, (campaigns.c.state == Campaign.SENDING) & due))
            .order_by(batches.c.id)
            .limit(limit)
            .with_for_update(of=batches, skip_locked=True)
        )
        again = update(batches).where(one_of(batches.c.id, forgotten))
        values = {"generation": batches.c.generation + 1, "publish_time": func.now()}
        return list((await self.connection.execute(again.values(values).returning(*PUBLISHED))).all())

    async def claim_batch(self, id: int, now: datetime) -> Claim:
        """Whether a sender goes on with this batch. The campaign is locked against a pause or cancel meanwhile."""
        campaign_id = await self.connection.scalar(select(batches.c.campaign_id).where(*self._batch(id)))
        if campaign_id is None:
            return Claim(ClaimBatchResponse.DROP, "")
        locked = select(*_CLAIMED).where(campaigns.c.id == campaign_id).with_for_update(read=True)
        campaign = (await self.connection.execute(locked)).one()
        query = select(batches.c.state, batches.c.time_zone).where(*self._batch(id)).with_for_update()
        batch = (await self.connection.execute(query)).one()
        zone = zones.zone(batch.time_zone or campaign.time_zone) or UTC
        quiet_until = quiet.until(campaign.quiet_start, campaign.quiet_end, zone, now)
        claim = decide(campaign.state, batch.state, is_offer_over=campaign.is_offer_over, quiet_until=quiet_until)
        if claim.due_time is not None:
            # Not published again before, though a sender may have begun it.
            values = {"state": claim.state, "due_time": claim.due_time, "publish_time": None}
            await self.connection.execute(update(batches).where(*self._batch(id)).values(values))
        elif claim.state != batch.state:
            await self.connection.execute(update(batches).where(*self._batch(id)).values(state=claim.state))
        return claim

    async def silent(self, seconds: float, limit: int) -> list[tuple[AnyRow, list[int]]]:
        """Campaigns on the road of which nothing was heard for a while, each with its batches that are not done."""
        age = func.make_interval(0, 0, 0, 0, 0, 0, seconds)
        quiet = (
            select(campaigns.c.id)
            .where(~campaigns.c.final, campaigns.c.credits_held > 0, campaigns.c.news_time < func.now() - age)
            .order_by(campaigns.c.news_time)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        asked = update(campaigns).where(one_of(campaigns.c.id, quiet)).values(news_time=func.now())
        found = (await self.connection.execute(asked.returning(campaigns.c.id, campaigns.c.merchant_id))).all()
        query = select(batches.c.id).where(batches.c.state.in_(["PUBLISHED", "TAKEN"])).limit(1000)
        return [
            (row, list((await self.connection.execute(query.where(batches.c.campaign_id == row.id))).scalars()))
            for row in found
        ]

    def _batch(self, id: int) -> tuple[Any, ...]:
        return batches.c.id == id, batches.c.merchant_id == self.merchant_id
