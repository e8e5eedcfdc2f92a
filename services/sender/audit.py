"""Counts messages again, now and then, against the tallies that are kept beside them; and deletes what is old."""

import structlog
from prometheus_client import Gauge

from kit.store import Database
from services.sender.store import SenderStore

WEBHOOKS_A_ROUND = 1000
# A batch of a campaign is some thousand messages, a single text is one.
BATCHES_A_ROUND = 200
MESSAGES_A_ROUND = 5000
INBOUND_A_ROUND = 1000
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


class TextRetention:
    """What was texted, and to whom and by whom, is kept for a while. Counts, states and ids stay."""

    def __init__(self, database: Database, seconds: float) -> None:
        """0 seconds: for ever."""
        self._database, self._seconds = database, seconds

    async def step(self) -> bool:
        if not self._seconds:
            return False
        async with SenderStore.open_pipeline(self._database) as store:
            batches = await store.forget_texts(self._seconds, BATCHES_A_ROUND, MESSAGES_A_ROUND)
        async with SenderStore.open_pipeline(self._database) as store:
            inbound = await store.drop_inbound(self._seconds, INBOUND_A_ROUND)
        return bool(batches) or inbound == INBOUND_A_ROUND
