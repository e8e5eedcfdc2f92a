"""How a service takes its part of what the broker has: fetched, handled, acked, or put off, and in the end buried."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import structlog
from google.protobuf.message import Message
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig
from nats.js.errors import NotFoundError, ServiceUnavailableError
from prometheus_client import Counter as Count
from prometheus_client import Gauge, Histogram

from kit import trace
from kit.boundary import ended, guarded
from kit.bus import Bus, work_subject
from kit.pulling import Pull
from kit.store import Database, Store

ACK_WAIT_SECONDS = 60
MAX_DELIVER = 20
MAX_ACK_PENDING = 10_000
FAULTS_MAX = 10_000
RETRY_SECONDS_MAX = 60
FETCH_SECONDS = 5
# A pull, a transaction and a commit are the same for one message as for fifty.
TOGETHER_SECONDS = 0.1
HANDLED = Histogram("consumer_seconds", "Time to handle what was taken together.", ["consumer", "outcome"])
WAITING = Gauge("consumer_waiting", "Messages that the broker has for a consumer beyond those in hand.", ["consumer"])
DEAD_LETTERS = Count("dead_letters", "Messages that were given up after the last delivery.", ["subject"])
log = structlog.get_logger()


class RetryLater(Exception):
    """The message can't be handled now: deliver it again after so many seconds. No fault, and never a dead letter."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


@dataclass(frozen=True)
class Delivery:
    """What a handler is told beside the message: its key in the inbox, and how to say that it is still in hand."""

    key: str
    in_progress: Callable[[], Awaitable[None]]
    #: Set when this process is to go: what is not begun then is better handed back (`RetryLater`).
    leaving: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True)
class Consumer:
    """Calls `handle(message, delivery)` for every message of the type: acked when it returns, delivered again with a
    growing delay when it raises, a dead letter after `MAX_DELIVER` times. `lane` names the queue of a work message.

    With `together_max` it calls `handle([(message, delivery), …])` for up to so many that come within a tenth of a
    second, and for each alone where that raises, so that one which can't be handled holds up no other.
    """

    message: type[Message]
    handle: Callable[..., Awaitable[None]]
    concurrency: int = 1
    lane: str = ""
    together_max: int = 0

    def subject(self) -> str:
        return work_subject(self.message, self.lane) if self.lane else f"event.{self.message.DESCRIPTOR.full_name}"


class Inbox:
    """Feeds one consumer from the broker, with its own place in the stream."""

    def __init__(self, database: Database, bus: Bus, store: type[Store], consumer: Consumer) -> None:
        self._database, self._bus, self._store, self.consumer = database, bus, store, consumer
        self._subject = consumer.subject()
        self._durable = f"{bus.service}_{self._subject.replace('.', '_')}"
        self._stream = "WORK" if consumer.lane else "EVENTS"
        self._pull: Pull | None = None
        self._places = asyncio.Semaphore(consumer.concurrency)
        self._running: set[asyncio.Task[None]] = set()
        self._leaving = asyncio.Event()
        # Failures by key; a message that was only put off has none.
        self._faults: Counter[str] = Counter()
        # From the beginning at zero: Prometheus sees no increase in a series that begins at one.
        DEAD_LETTERS.labels(self._subject)

    async def step(self) -> bool:
        """Fetches as many messages as there are hands free, and sets them to work."""
        await self._places.acquire()
        self._places.release()
        together_max = self.consumer.together_max
        free = together_max or max(1, self.consumer.concurrency - len(self._running))
        pull, asked_seconds = await self._pulling(), time.monotonic()
        messages = await pull.take(free, FETCH_SECONDS)
        if not messages:
            WAITING.labels(self._durable).set(0)
            await self._exists()
            if time.monotonic() - asked_seconds < FETCH_SECONDS / 2:
                # A question that is refused is so at once (others wait for the little there is): not at once again.
                await asyncio.sleep(TOGETHER_SECONDS)
            return True
        WAITING.labels(self._durable).set(messages[-1].metadata.num_pending)
        for taken in [messages] if together_max else [[message] for message in messages]:
            await self._places.acquire()
            task = asyncio.create_task(self._deliver(taken))
            self._running.add(task)
            task.add_done_callback(self._release)
        if len(messages) < together_max:
            await asyncio.sleep(TOGETHER_SECONDS)
        return True

    def _release(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._places.release()

    async def drain(self, timeout_seconds: float) -> None:
        """Waits for what is in hand; what takes longer is cut off, and delivered again."""
        self._leaving.set()
        if self._pull is not None:
            await guarded(self._durable, self._pull.close())
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=timeout_seconds)
            if late:
                log.warning("cut off", consumer=self._durable, count=len(late))
            await ended(late)

    async def _pulling(self) -> Pull:
        if self._pull is None:
            config = ConsumerConfig(
                durable_name=self._durable,
                name=self._durable,
                filter_subject=self._subject,
                ack_policy=AckPolicy.EXPLICIT,
                ack_wait=ACK_WAIT_SECONDS,
                # What is put off counts too: a few merchants that wait must not fill it for all.
                max_ack_pending=MAX_ACK_PENDING,
            )
            await self._bus.ensure_streams()
            await self._bus.stream.add_consumer(self._stream, config)
            self._pull = Pull(self._bus.client, self._stream, self._durable)
        return self._pull

    async def _exists(self) -> None:
        """A store that was wiped has forgotten us: begin anew."""
        try:
            await self._bus.stream.consumer_info(self._stream, self._durable)
        except (NotFoundError, ServiceUnavailableError):
            if self._pull is not None:
                await self._pull.close()
            self._pull = None

    async def _deliver(self, messages: Sequence[Msg]) -> None:
        deliveries = [self._delivery(message) for message in messages]
        span = trace.begin("CONSUMER", (messages[0].headers or {}).get(trace.HEADER, ""))
        beat = asyncio.create_task(_beat(messages))
        try:
            error = await guarded(self._durable, self._handled(messages, deliveries))
        finally:
            beat.cancel()
        outcome = "failed" if error else "handled"
        HANDLED.labels(self._durable, outcome).observe(span.end(self._durable, failed=error is not None))
        if error is None:
            for delivery in deliveries:
                self._faults.pop(delivery.key, None)
        elif len(messages) == 1:
            await self._put_off(messages[0], deliveries[0], error)
        else:
            for message in messages:
                await self._deliver([message])

    def _delivery(self, message: Msg) -> Delivery:
        key = (message.headers or {}).get("Nats-Msg-Id", "")
        return Delivery(f"{self._durable}:{key}", message.in_progress, self._leaving)

    async def _handled(self, messages: Sequence[Msg], deliveries: Sequence[Delivery]) -> None:
        given = [self.consumer.message.FromString(message.data) for message in messages]
        taken = list(zip(given, deliveries, strict=True))
        try:
            await (self.consumer.handle(taken) if self.consumer.together_max else self.consumer.handle(*taken[0]))
        except RetryLater as retry:
            for message in messages:
                await message.nak(delay=retry.seconds)
        else:
            for message in messages:
                await message.ack()

    async def _put_off(self, message: Msg, delivery: Delivery, error: Exception) -> None:
        if len(self._faults) >= FAULTS_MAX:
            self._faults.clear()
        self._faults[delivery.key] += 1
        faults = self._faults[delivery.key]
        if faults < MAX_DELIVER:
            await guarded(self._durable, message.nak(delay=min(2**faults, RETRY_SECONDS_MAX)))
        elif await guarded(self._durable, self._bury(message, delivery, faults, error)) is None:
            self._faults.pop(delivery.key, None)
            await guarded(self._durable, message.term())

    async def _bury(self, message: Msg, delivery: Delivery, deliveries: int, error: Exception) -> None:
        row: dict[str, object] = {"subject": self._subject, "key": delivery.key, "payload": message.data}
        row |= {"deliveries": deliveries, "error": repr(error)[:1000]}
        async with self._store.open_pipeline(self._database) as store:
            await store.connection.execute(self._store.metadata.tables["dead_letters"].insert().values(row))
        DEAD_LETTERS.labels(self._subject).inc()


async def _beat(messages: Sequence[Msg]) -> None:
    """Tells the broker that they are still in hand, well within `ACK_WAIT_SECONDS`."""
    while True:
        await asyncio.sleep(ACK_WAIT_SECONDS / 4)
        for message in messages:
            await guarded("in_progress", message.in_progress())
