"""Statements over what happened when. The rows of a quarter are the last locks of every transaction, in one order."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, DateTime, Table, cast, func, select, text, tuple_, update
from sqlalchemy.dialects import postgresql

from astronote.campaigns.v1.campaigns_pb2 import Campaign
from kit.rows import AnyRow
from kit.store import Store
from services.campaigns.tables import (
    ACTIVITY,
    RESPONSES,
    campaign_history,
    campaigns,
    merchant_history,
    response_counts,
)

_QUARTER = func.date_bin(text("interval '15 minutes'"), func.now(), text("timestamptz 'epoch'"))
RUNNING = (Campaign.PREPARING, Campaign.SENDING, Campaign.PAUSED)
# By campaign and its merchant.
Gains = Mapping[tuple[str, str], Counter[str]]


class HistoryStatements(Store):
    async def add_history(self, gains: Gains) -> None:
        """Counts what happened just now."""
        of_campaigns, totals = list[dict[str, Any]](), dict[str, Counter[str]]()
        for (id, merchant_id), gain in sorted(gains.items(), key=lambda each: each[0]):
            if any(gain.values()):
                of_campaigns.append({"campaign_id": id, "merchant_id": merchant_id, **gain})
                totals.setdefault(merchant_id, Counter()).update(gain)
        of_merchants = [{"merchant_id": id, **total} for id, total in sorted(totals.items())]
        await self._add(campaign_history, ["campaign_id", "start_time"], of_campaigns)
        await self._add(merchant_history, ["merchant_id", "start_time"], of_merchants)

    async def fold_responses(self, limit: int) -> int:
        """Takes so many shards with news into the history; returns how many there were."""
        key = (response_counts.c.campaign_id, response_counts.c.shard)
        query = select(response_counts).where(response_counts.c.has_news).order_by(*key).limit(limit)
        found = (await self.connection.execute(query.with_for_update(skip_locked=True))).all()
        gains = dict[tuple[str, str], Counter[str]]()
        for row in found:
            gain = gains.setdefault((row.campaign_id, row.merchant_id), Counter())
            gain.update({name: row._mapping[name] - row.folded.get(name, 0) for name in RESPONSES})
        taken = tuple_(*key).in_([(row.campaign_id, row.shard) for row in found])
        counted = func.jsonb_build_object(*(part for name in RESPONSES for part in (name, response_counts.c[name])))
        await self.connection.execute(update(response_counts).where(taken).values(folded=counted, has_news=False))
        await self.add_history(gains)
        return len(found)

    async def timeline(self, campaign_id: str, limit: int) -> list[AnyRow]:
        mine = (campaign_history.c.campaign_id == campaign_id, campaign_history.c.merchant_id == self.merchant_id)
        query = select(campaign_history).where(*mine).order_by(campaign_history.c.start_time).limit(limit)
        return list((await self.connection.execute(query)).all())

    async def days(self, starts: Sequence[datetime]) -> dict[int, AnyRow]:
        """What happened on each of the days that begin then, by its place, from 1; nothing where nothing did."""
        place = func.width_bucket(merchant_history.c.start_time, cast(list(starts), ARRAY(DateTime(timezone=True))))
        sums = [func.sum(merchant_history.c[name]).label(name) for name in ACTIVITY]
        mine = (merchant_history.c.merchant_id == self.merchant_id, merchant_history.c.start_time >= starts[0])
        query = select(place.label("place"), *sums).where(*mine).group_by(place)
        return {row.place: row for row in await self.connection.execute(query)}

    async def campaigns_since(self, time: datetime) -> tuple[int, int]:
        """How many were started since then, and how many run now."""
        started = func.count().filter(campaigns.c.start_time >= time)
        running = func.count().filter(campaigns.c.state.in_(RUNNING))
        mine = (campaigns.c.merchant_id == self.merchant_id, campaigns.c.kind == Campaign.CAMPAIGN)
        query = select(started, running).where(*mine)
        row = (await self.connection.execute(query)).one()
        return row[0], row[1]

    async def _add(self, table: Table, key: list[str], gains: list[dict[str, Any]]) -> None:
        if not gains:
            return
        values = [{name: gain.get(name, 0) for name in ACTIVITY} | gain for gain in gains]
        added = postgresql.insert(table).values([{"start_time": _QUARTER, **each} for each in values])
        more = {name: table.c[name] + added.excluded[name] for name in ACTIVITY}
        await self.connection.execute(added.on_conflict_do_update(index_elements=key, set_=more))
