"""Starting campaigns when they are due, once however many look: a start is made under the lock of its campaign, and an
occurrence of a recurring one has a key.

A start that was missed by more than a while is not made up for (docs/adr/0028).
"""

import asyncio
from datetime import UTC, datetime, timedelta

import grpc
from prometheus_client import Counter

from astronote.accounts.v1.accounts_pb2 import Merchant
from kit.errors import DomainError
from kit.rows import AnyRow
from kit.store import Database
from services.campaigns import schedules
from services.campaigns.starting import Starter
from services.campaigns.store import CampaignStore

ROUND_SIZE = 20
# Longer than all that is asked before a start may take.
LEASE_SECONDS = 60
STARTS = Counter("campaign_starts", "Starts of scheduled campaigns that were due, by what became of them.", ["outcome"])


class Scheduler:
    def __init__(self, database: Database, starter: Starter, late_seconds_max: float, started: asyncio.Event) -> None:
        self._database, self._starter = database, starter
        self._late_max = timedelta(seconds=late_seconds_max)
        #: Set when a campaign is to be prepared.
        self._started = started

    async def step(self) -> bool:
        async with CampaignStore.open_pipeline(self._database) as store:
            rows = await store.take_due(ROUND_SIZE, LEASE_SECONDS)
        begun = await asyncio.gather(*(self._begin(row) for row in rows), return_exceptions=True)
        self._started.set()
        # One that fails holds up none of the others.
        for result in begun:
            if isinstance(result, BaseException):
                raise result
        return bool(rows)

    async def _begin(self, row: AnyRow) -> None:
        # By the clock of the database, which is the same for all who look.
        oldest = row.now - self._late_max
        is_missed, following = row.occurrence_time < oldest, None
        if row.schedule.rrule:
            last = max(row.occurrence_time, oldest)
            following = await asyncio.to_thread(schedules.next_start, row.schedule, last)
        merchant, refusal = (None, "") if is_missed else await self._asked(row)
        async with CampaignStore.open_pipeline(self._database) as store:
            if not await store.lock_due(row):
                return
            occurrence: AnyRow | None = row
            if row.schedule.rrule:
                await store.go_on(row, following)
                alone = schedules.of_occurrence(row.schedule, row.occurrence_time)
                occurrence = None if is_missed else await store.add_occurrence(row, alone)
            if is_missed:
                await store.miss(row)
            elif occurrence and merchant:
                refusal = await self._start(store, occurrence, merchant)
            if occurrence and refusal:
                await store.fail(occurrence, refusal)
        STARTS.labels("missed" if is_missed else "refused" if refusal else "started").inc()

    async def _asked(self, row: AnyRow) -> tuple[Merchant | None, str]:
        """The merchant, or why it can't start. Raises where somebody does not answer: it is tried again."""
        try:
            return await self._starter.ready(row.merchant_id, row.audience), ""
        except DomainError as error:
            return None, error.reason()
        except grpc.aio.AioRpcError as error:
            if error.code() not in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND):
                raise
            return None, "AUDIENCE_INVALID"

    async def _start(self, store: CampaignStore, row: AnyRow, merchant: Merchant) -> str:
        """Why it can't."""
        try:
            await self._starter.start(store, row, merchant, datetime.now(UTC))
        except DomainError as error:
            return error.reason()
        return ""
