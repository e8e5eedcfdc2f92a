"""Whether a submission may leave now: the breaker and the rate limits of a traffic account, kept in the database and
so shared by all senders. No answer: no send.
"""

import asyncio
from dataclasses import dataclass

import structlog
from prometheus_client import Counter, Gauge

from kit.store import Database
from services.sender import breaker, limits
from services.sender.breaker import Route, Terms
from services.sender.limits import NoPlace, Rates
from services.sender.outcomes import Accepted, Outcome
from services.sender.settings import Settings
from services.sender.store import SenderStore

BULK, SINGLE = "bulk", "single"
TIMEOUT_SECONDS = 5.0
# An open breaker is asked again at least so often, since an operator may have mended what was wrong.
HELD_SECONDS_MAX = 10.0
# The record of an answer comes after it.
PROBE_GRACE_SECONDS = 10.0
HELD = Counter("submissions_held", "Submissions that had to wait for their turn or for the breaker.", ["why"])
IS_OPEN = Gauge("breaker_open", "Whether the breaker of a traffic account is open; alarm when it is 1.", ["route"])
OPENED = Counter("breaker_opened", "How often the breaker of a traffic account opened.", ["route"])
log = structlog.get_logger()


class HeldBackError(Exception):
    """Nothing may leave now; ask again after so many seconds. It costs the batch no try."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


@dataclass(frozen=True)
class Admission:
    """A submission of up to `count` messages may leave, after the wait."""

    count: int
    wait_seconds: float
    #: What was known of the route when it was admitted.
    route: Route


class Admissions:
    def __init__(self, database: Database, settings: Settings) -> None:
        self._database, self._settings = database, settings
        self._route_id = settings.mitto_traffic_account_id
        self._terms = Terms(
            window=settings.breaker_window,
            unknowns_max=max(1, round(settings.breaker_window * settings.breaker_unknown_share)),
            open_seconds=settings.breaker_seconds,
            probe_seconds=settings.provider_timeout_seconds + PROBE_GRACE_SECONDS,
        )

    async def wait(self, merchant_id: str, lane: str, count: int) -> Admission:
        """Takes a turn for up to `count` messages, and waits for it. Raises `HeldBackError`."""
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                admission = await self._reserve(merchant_id, lane, count)
        except TimeoutError as error:
            HELD.labels("no answer").inc()
            raise HeldBackError(TIMEOUT_SECONDS) from error
        if admission.wait_seconds:
            await asyncio.sleep(admission.wait_seconds)
        return admission

    async def learn(self, admission: Admission, outcome: Outcome) -> None:
        """Tells all senders what an answer says of the route. The usual answer on a clean route says nothing."""
        before = admission.route
        if before.is_clean() and isinstance(outcome, Accepted):
            return
        async with SenderStore.open_pipeline(self._database) as store:
            route, now = await store.lock_route(self._route_id)
            changed = breaker.after(route, outcome, now, self._terms, is_probe=before.is_open)
            await store.change_route(changed)
        IS_OPEN.labels(route.id).set(changed.is_open)
        if changed.is_open and not route.is_open:
            OPENED.labels(route.id).inc()
            log.error("breaker opened", route=route.id, reason=changed.reason)
        elif route.is_open and not changed.is_open:
            log.warning("breaker closed", route=route.id)

    async def _reserve(self, merchant_id: str, lane: str, count: int) -> Admission:
        rates = self._rates(lane)
        async with SenderStore.open_pipeline(self._database) as store:
            route, now = await store.lock_route(self._route_id)
            IS_OPEN.labels(route.id).set(route.is_open)
            if route.is_drained:
                HELD.labels("drained").inc()
                raise HeldBackError(HELD_SECONDS_MAX)
            if now < route.retry_time:
                HELD.labels("breaker").inc()
                raise HeldBackError(min((route.retry_time - now).total_seconds(), HELD_SECONDS_MAX))
            if route.is_small():
                count = min(count, self._settings.cautious_size)
            count = min(each.count_max(count) for each in rates)
            keys = [f"account:{self._route_id}:{lane}", f"merchant:{merchant_id}:{lane}"]
            account, merchant = await store.lock_buckets(keys)
            place = limits.reserve(account, merchant, rates, count, now, self._settings.limit_wait_seconds)
            if isinstance(place, NoPlace):
                HELD.labels("limit").inc()
                raise HeldBackError(place.wait_seconds)
            await store.change_buckets(place.buckets)
            if route.is_open:
                await store.change_route(breaker.probing(route, now, self._terms))
        return Admission(count, place.wait_seconds, route)

    def _rates(self, lane: str) -> tuple[Rates, Rates]:
        """The lane's part of the account's limits and of a merchant's."""
        settings = self._settings
        account = Rates(settings.account_requests_per_second, settings.account_messages_per_second)
        merchant = Rates(settings.merchant_requests_per_second, settings.merchant_messages_per_second)
        requests, messages = settings.single_requests_share, settings.single_messages_share
        if lane == BULK:
            requests, messages = 1 - requests, 1 - messages
        return account.share(requests, messages), merchant.share(requests, messages)
