"""Finds what never arrived: each night Stripe's own list of events is held against the journal."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import orjson
import structlog

from astronote.wallet.v1.billing_pb2 import RepairStripeEventsResponse
from kit.app import Job
from kit.store import Database
from services.wallet.store import WalletStore
from services.wallet.stripe import Stripe

INTERVAL_SECONDS, LEASE_SECONDS, LOOK_SECONDS = 86_400, 600, 60.0
# Stripe's clock and ours, and what its list shows late.
OVERLAP = timedelta(hours=1)
PAGES_MAX = 10_000
log = structlog.get_logger()


@dataclass(frozen=True)
class Repair:
    database: Database
    stripe: Stripe
    received: asyncio.Event

    def job(self) -> Job:
        return Job("repair stripe events", self.step, LOOK_SECONDS)

    async def step(self) -> bool:
        """Whoever comes first when it is time. Where it fails it is done again after the lease."""
        now = datetime.now(UTC)
        async with WalletStore.open_pipeline(self.database) as store:
            start = await store.take_repair(now, LEASE_SECONDS, INTERVAL_SECONDS)
        if start is not None:
            done = await self.between(start - OVERLAP, now + OVERLAP)
            log.info("stripe events repaired", listed=done.listed, missed=done.missed)
            async with WalletStore.open_pipeline(self.database) as store:
                await store.repaired(now, now + timedelta(seconds=INTERVAL_SECONDS))
        return False

    async def between(self, start: datetime, end: datetime) -> RepairStripeEventsResponse:
        """Refuses `StripeAway`. What was found until then is kept."""
        done, after = RepairStripeEventsResponse(), ""
        for _ in range(PAGES_MAX):
            page, has_more = await self.stripe.events(start, end, after)
            async with WalletStore.open_pipeline(self.database) as store:
                for event in page:
                    is_new = await store.keep_event(event["id"], event["type"], orjson.dumps(event), datetime.now(UTC))
                    done.missed += is_new
            done.listed += len(page)
            self.received.set()
            if not page or not has_more:
                break
            after = page[-1]["id"]
        return done
