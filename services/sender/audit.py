"""Counts messages again, now and then, against the tallies that are kept beside them; and deletes what is old."""

import structlog
from prometheus_client import Gauge

from kit.store import Database
from services.sender.store import SenderStore

WEBHOOKS_A_ROUND = 1000
DISCREPANCIES = Gauge("tally_discrepancies", "Campaigns whose messages contradict their tally. Must be zero.")
log = structlog.get_logger()


class Recount:
    """One merchant a step, in one snapshot; the gauge moves when all have been counted."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._merchant_id, self._wrong = "", 0

    async def step(self) -> bool:
        async with SenderStore.open_pipeline(self._database) as store:
            recounted = await store.recount_after(self._merchant_id)
        if recounted is None:
            DISCREPANCIES.set(self._wrong)
            self._merchant_id, self._wrong = "", 0
            return False
        if recounted.wrong:
            log.error("tally", merchant_id=recounted.merchant_id, campaign_ids=recounted.wrong[:20])
        self._merchant_id, self._wrong = recounted.merchant_id, self._wrong + len(recounted.wrong)
        return True


class WebhookRetention:
    """Bodies that were applied are kept for a while, for a replay; and arrivals, whoever they were for."""

    def __init__(self, database: Database, seconds: float) -> None:
        self._database, self._seconds = database, seconds

    async def step(self) -> bool:
        async with SenderStore.open_pipeline(self._database) as store:
            dropped = await store.drop_webhooks(self._seconds, WEBHOOKS_A_ROUND)
            dropped = max(dropped, await store.drop_arrivals(self._seconds, WEBHOOKS_A_ROUND))
        return dropped == WEBHOOKS_A_ROUND
