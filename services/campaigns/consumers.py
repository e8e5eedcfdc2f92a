"""What campaigns listens to."""

import asyncio

from astronote.sender.v1.events_pb2 import BatchFinished, CampaignTally
from kit.inbox import Delivery
from kit.store import Database
from services.campaigns.store import CampaignStore


class Consumers:
    def __init__(self, database: Database, due: asyncio.Event, ended: asyncio.Event) -> None:
        self._database = database
        #: Set when a batch may be due, and when a campaign may be closed.
        self._due, self._ended = due, ended

    async def on_tally(self, event: CampaignTally, delivery: Delivery) -> None:
        async with CampaignStore.open_pipeline(self._database) as store:
            if await store.first_time(delivery.key):
                await store.apply_tally(event)
        # With texts on the road it can't be closed yet, and a large campaign has hundreds of tallies.
        if not event.accepted and not event.unknown:
            self._ended.set()

    async def on_batch_finished(self, event: BatchFinished, delivery: Delivery) -> None:
        async with CampaignStore.open_pipeline(self._database) as store:
            if await store.first_time(delivery.key):
                await store.finish_batches(event.campaign_id, [event.batch_id])
        self._due.set()
