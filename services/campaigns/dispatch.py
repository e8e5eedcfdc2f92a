"""Publishing batches: a small look-ahead of each campaign, so that a pause bites within a few batches and a million
texts do not stand before ten. PostgreSQL is the truth: what a lost stream or a dead sender forgot is published again.
"""

import asyncio
from collections.abc import Sequence

from astronote.sender.v1.batches_pb2 import SendBatch
from kit import crash, trace
from kit.bus import Bus, work_subject
from kit.rows import AnyRow
from kit.store import Database
from services.campaigns.store import CampaignStore

# By whether a batch is expedited.
SUBJECTS = {False: work_subject(SendBatch, "bulk"), True: work_subject(SendBatch, "single")}
ROUND_SIZE = 16


class Dispatcher:
    """`step` publishes what is due, `sweep_step` what has been out for too long."""

    def __init__(self, database: Database, bus: Bus, ahead: int, republish_after_seconds: float) -> None:
        self._database, self._bus, self._ahead = database, bus, ahead
        self._republish_after_seconds = republish_after_seconds

    async def step(self) -> bool:
        async with CampaignStore.open_pipeline(self._database) as store:
            batches = await store.dispatch(self._ahead, ROUND_SIZE)
        if not batches:
            return False
        crash.point("dispatch.claimed")
        await self._publish(batches)
        crash.point("dispatch.published")
        return True

    async def sweep_step(self) -> bool:
        async with CampaignStore.open_pipeline(self._database) as store:
            batches = await store.stale(self._republish_after_seconds, ROUND_SIZE)
        await self._publish(batches)
        return bool(batches)

    async def _publish(self, batches: Sequence[AnyRow]) -> None:
        """Raises what the broker refused, after it was handed back."""
        sent = await asyncio.gather(
            *(
                self._bus.publish(
                    SUBJECTS[batch.expedited],
                    batch.payload,
                    f"{batch.id}-{batch.generation}",
                    # A campaign is one trace, and its id is the trace's.
                    trace.of(str(batch.campaign_id).replace("-", "")),
                )
                for batch in batches
            ),
            return_exceptions=True,
        )
        refused = {batch.id: error for batch, error in zip(batches, sent, strict=True) if error is not None}
        if refused:
            async with CampaignStore.open_pipeline(self._database) as store:
                await store.return_batches(list(refused))
            raise next(iter(refused.values()))
