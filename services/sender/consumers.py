"""What the sender listens to."""

import asyncio
from datetime import UTC, datetime

from astronote.campaigns.v1.events_pb2 import LinkOpened
from kit.inbox import Delivery, RetryLater
from kit.store import Database
from services.sender.delivery import PROVEN
from services.sender.store import SenderStore

RECORD_SECONDS = 5.0
NOT_RECORDED = ("", "QUEUED")


class Consumers:
    """`wait_seconds`: how long an opened link waits for its message before it is given up."""

    def __init__(self, database: Database, wait_seconds: float, settle: asyncio.Event) -> None:
        self._database, self._wait_seconds, self._settle = database, wait_seconds, settle

    async def on_link_opened(self, event: LinkOpened, delivery: Delivery) -> None:
        """A message leaves `UNKNOWN` once, so a repeat needs no inbox. Raises `RetryLater` for a reader who was faster
        than our own record; each try waits as long again as the opening is old.
        """
        opened = event.open_time.ToDatetime(tzinfo=UTC)
        async with SenderStore.open_pipeline(self._database) as store:
            was = await store.apply_open(event.merchant_id, event.message_id, opened)
        age_seconds = (datetime.now(UTC) - opened).total_seconds()
        if was in NOT_RECORDED and age_seconds < self._wait_seconds:
            raise RetryLater(max(RECORD_SECONDS, age_seconds))
        if was == "UNKNOWN":
            PROVEN.inc()
            self._settle.set()
