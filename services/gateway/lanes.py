"""How much of one service's work may be in hand at once, so that a slow service costs its own routes only."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from prometheus_client import Gauge

from kit.channel import Peer
from services.gateway.errors import Overloaded, TooManyStreams
from services.gateway.settings import Settings

# Of a service's streams, one merchant's share.
SHARE_OF_STREAMS = 8
IN_HAND = Gauge("service_calls_in_hand", "Calls to a service that are under way.", ["service", "kind"])


class Lane:
    """Calls to one service: `places` at once, and as many that wait for a place, none longer than `wait_seconds`."""

    def __init__(self, service: str, places: int, wait_seconds: float) -> None:
        self._service, self._places, self._wait_seconds = service, places, wait_seconds
        self._semaphore = asyncio.Semaphore(places)
        self._waiting = 0
        self._in_hand = IN_HAND.labels(service, "unary")

    async def __aenter__(self) -> None:
        """Refuses `Overloaded`."""
        if not self._semaphore.locked():
            await self._semaphore.acquire()
        else:
            await self._wait()
        self._in_hand.inc()

    async def _wait(self) -> None:
        if self._waiting >= self._places:
            raise Overloaded(service=self._service, retry_seconds=1)
        self._waiting += 1
        try:
            async with asyncio.timeout(self._wait_seconds):
                await self._semaphore.acquire()
        except TimeoutError as error:
            raise Overloaded(service=self._service, retry_seconds=1) from error
        finally:
            self._waiting -= 1

    async def __aexit__(self, *_: object) -> None:
        self._semaphore.release()
        self._in_hand.dec()


class Streams:
    """Streams of one service, which last for minutes: nobody waits for a place, and no merchant has more than a share
    of them.
    """

    def __init__(self, service: str, places: int) -> None:
        self._service, self._places = service, places
        self._share = max(places // SHARE_OF_STREAMS, 1)
        self._of_merchant: Counter[str] = Counter()
        self._count = 0
        self._in_hand = IN_HAND.labels(service, "stream")

    @asynccontextmanager
    async def place(self, merchant_id: str) -> AsyncIterator[None]:
        """Refuses `Overloaded`, `TooManyStreams`."""
        if self._count >= self._places:
            raise Overloaded(service=self._service, retry_seconds=5)
        if merchant_id and self._of_merchant[merchant_id] >= self._share:
            raise TooManyStreams(streams_max=self._share, retry_seconds=5)
        self._count += 1
        self._of_merchant[merchant_id] += 1
        self._in_hand.inc()
        try:
            yield
        finally:
            self._in_hand.dec()
            self._count -= 1
            self._of_merchant[merchant_id] -= 1
            if not self._of_merchant[merchant_id]:
                del self._of_merchant[merchant_id]


@dataclass(frozen=True)
class Service:
    """A service behind the gateway, and what it may have in hand of ours."""

    peer: Peer
    calls: Lane
    streams: Streams

    @classmethod
    def made(cls, peer: Peer, settings: Settings) -> "Service":
        calls = Lane(peer.service, settings.service_calls_max, settings.service_wait_seconds)
        return cls(peer, calls, Streams(peer.service, settings.service_streams_max))
