"""Handles Stripe's events from their journal: each leads to a look, and the look is written down.

One that can't be handled is tried again, later each time; after the last try it stays, `DEAD`, for an operator.
"""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import orjson
import structlog
from prometheus_client import Counter

from astronote.wallet.v1.billing_pb2 import StripeEvent
from kit.app import Job
from kit.boundary import guarded
from kit.store import Database
from services.wallet import reading
from services.wallet.bookkeeping import Bookkeeper
from services.wallet.looking import Looks
from services.wallet.store import WalletStore
from services.wallet.store.stripe_events import Taken

EVENTS_A_ROUND = 10
# Longer than Stripe may take to answer for one event, with all tries.
LEASE_SECONDS = 120
# Two seconds, four, up to an hour: about a day in all.
TRIES_MAX, RETRY_SECONDS_MAX = 32, 3600
KEPT_SECONDS, DROPPED_A_ROUND = 400 * 86_400, 1000
DEAD = Counter("stripe_events_dead", "Events of Stripe's that were given up after the last try.")
log = structlog.get_logger()


@dataclass(frozen=True)
class Handler:
    database: Database
    looks: Looks
    books: Bookkeeper

    def jobs(self, received: asyncio.Event) -> list[Job]:
        return [Job("stripe events", self.step, 1.0, received), Job("drop stripe events", self.drop_step, 3600.0)]

    async def step(self) -> bool:
        async with WalletStore.open_pipeline(self.database) as store:
            taken = await store.take_events(datetime.now(UTC), LEASE_SECONDS, EVENTS_A_ROUND)
        await asyncio.gather(*(self._handle(event) for event in taken))
        return bool(taken)

    async def drop_step(self) -> bool:
        async with WalletStore.open_pipeline(self.database) as store:
            return await store.drop_events(KEPT_SECONDS, DROPPED_A_ROUND) == DROPPED_A_ROUND

    async def _handle(self, event: Taken) -> None:
        """Whatever goes wrong with it."""
        error = await guarded("stripe event", self._handled(event))
        if error is None:
            return
        if event.tries >= TRIES_MAX:
            DEAD.inc()
            log.error("stripe event given up", event_id=event.id, tries=event.tries)
        wait_seconds = min(2**event.tries, RETRY_SECONDS_MAX)
        async with WalletStore.open_pipeline(self.database) as store:
            if event.tries >= TRIES_MAX:
                await store.event_dead(event.id, repr(error)[:1000])
            else:
                due = datetime.now(UTC) + timedelta(seconds=wait_seconds)
                await store.event_failed(event.id, repr(error)[:1000], due)

    async def _handled(self, event: Taken) -> None:
        """The books are merchants' and the journal is ours, so that they take a transaction each: after a crash between
        the two the look is repeated, and finds nothing to change.
        """
        cause = reading.cause(orjson.loads(event.body))
        findings = await self.looks.at(cause) if cause else []
        await self.books.write(findings, event.look, datetime.now(UTC))
        state = StripeEvent.HANDLED if findings else StripeEvent.IGNORED
        async with WalletStore.open_pipeline(self.database) as store:
            await store.event_handled(event.id, state, datetime.now(UTC))
