"""Events and work between services, carried by JetStream, at least once.

PostgreSQL is the truth: an event stands in its sender's outbox until the broker has it, a handled one in its
receiver's inbox, and one that can't be handled in its `dead_letters`. A subject is the full name of a message, so the
protos are the only list of events there is. `EVENTS` keeps a week for its durable consumers; `WORK` is a work queue.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace

import nats
import structlog
from google.protobuf.message import Message
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import ConsumerConfig, RetentionPolicy, StreamConfig
from nats.js.errors import APIError, BadRequestError, NotFoundError, ServiceUnavailableError
from prometheus_client import Counter as Count
from prometheus_client import Gauge, Histogram
from sqlalchemy import func, select, text, update

from kit import crash, trace
from kit.boundary import ended, guarded
from kit.store import Database, Store

RELAY_BATCH = 200
CLAIM_SECONDS = 30
ACK_WAIT_SECONDS = 60
MAX_DELIVER = 20
MAX_ACK_PENDING = 10_000
FAULTS_MAX = 10_000
RETRY_SECONDS_MAX = 60
FETCH_SECONDS = 5
STREAMS = (
    StreamConfig(name="EVENTS", subjects=["event.>"], max_age=7 * 86400, duplicate_window=600),
    StreamConfig(name="WORK", subjects=["work.>"], retention=RetentionPolicy.WORK_QUEUE, duplicate_window=600),
)
RELAYED = Count("outbox_relayed", "Events that left the outbox.")
WAITED = Gauge("outbox_oldest_seconds", "How long the oldest event that was last seen in the outbox had stood there.")
HANDLED = Histogram("consumer_seconds", "Time to handle a message.", ["consumer", "outcome"])
WAITING = Gauge("consumer_waiting", "Messages that the broker has for a consumer beyond those in hand.", ["consumer"])
DEAD_LETTERS = Count("dead_letters", "Messages that were given up after the last delivery.", ["subject"])
# By service, so that a process without a bus, such as the gateway, does not say that it has lost its own.
BROKER_CONNECTED = Gauge("broker_connected", "Whether JetStream can be reached.", ["service"])
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


Handle = Callable[[Message, Delivery], Awaitable[None]]


@dataclass(frozen=True)
class Consumer:
    """Calls `handle(message, delivery)` for every message of the type: acked when it returns, delivered again with a
    growing delay when it raises, a dead letter after `MAX_DELIVER` times. `lane` names the queue of a work message.
    """

    message: type[Message]
    handle: Callable[..., Awaitable[None]]
    concurrency: int = 1
    lane: str = ""

    def subject(self) -> str:
        return work_subject(self.message, self.lane) if self.lane else f"event.{self.message.DESCRIPTOR.full_name}"


def work_subject(message: type[Message], lane: str) -> str:
    return f"work.{message.DESCRIPTOR.full_name}.{lane}"


@dataclass
class Bus:
    """A connection to the broker that heals itself: streams and consumers that are gone are made again."""

    url: str
    service: str
    replicas: int = 1
    client: Client = field(default_factory=Client)

    async def connect(self) -> None:
        async def changed(*_: object) -> None:
            BROKER_CONNECTED.labels(self.service).set(self.client.is_connected)

        async def failed(error: Exception) -> None:
            log.warning("broker", error=repr(error))

        await changed()
        while not self.client.is_connected:
            try:
                self.client = await nats.connect(
                    self.url,
                    name=self.service,
                    max_reconnect_attempts=-1,
                    reconnect_time_wait=0.5,
                    error_cb=failed,
                    reconnected_cb=changed,
                    disconnected_cb=changed,
                )
            except (NatsError, OSError) as error:
                log.warning("broker away", error=repr(error))
                await asyncio.sleep(0.5)
        self.stream = self.client.jetstream(timeout=10)
        await changed()
        await self.ensure_streams()

    async def ensure_streams(self) -> None:
        for config in (replace(stream, num_replicas=self.replicas) for stream in STREAMS):
            try:
                await self.stream.add_stream(config)
            except BadRequestError:
                # It is there, with the settings of another release.
                await self.stream.update_stream(config)

    async def publish(self, subject: str, payload: bytes, key: str, traceparent: str = "") -> None:
        """Returns once the broker has it. Within the window of ten minutes the same key is stored once. Without a
        `traceparent` it belongs to the trace that is in hand.
        """
        headers = {"Nats-Msg-Id": key, trace.HEADER: traceparent or trace.current()}
        try:
            await self.stream.publish(subject, payload, headers={name: text for name, text in headers.items() if text})
        except nats.js.errors.NoStreamResponseError:
            await self.ensure_streams()
            raise

    async def close(self) -> None:
        """What was acked leaves; what was fetched and not handled comes again, so `drain` would wait for it in vain."""
        if self.client.is_connected:
            with suppress(NatsError):
                await self.client.flush()
        await self.client.close()


class Relay:
    """Carries the outbox to the broker. A row is claimed by a short transaction, published with no lock held, and
    deleted once the broker has it; the key makes a repeat after a crash harmless.
    """

    def __init__(self, database: Database, bus: Bus, store: type[Store]) -> None:
        self._database, self._bus, self._store = database, bus, store
        self._outbox = store.metadata.tables["outbox"]

    async def step(self) -> bool:
        outbox = self._outbox
        free = (
            select(outbox.c.id)
            .where(outbox.c.claim_expire_time < func.now())
            .order_by(outbox.c.id)
            .limit(RELAY_BATCH)
            .with_for_update(skip_locked=True)
        )
        claim = (
            update(outbox)
            .where(outbox.c.id.in_(free.scalar_subquery()))
            .values(claim_expire_time=func.now() + text(f"interval '{CLAIM_SECONDS} seconds'"))
            .returning(outbox, (func.now() - outbox.c.create_time).label("age"))
        )
        async with self._store.open_pipeline(self._database) as store:
            rows = (await store.connection.execute(claim)).all()
        WAITED.set(max((row.age.total_seconds() for row in rows), default=0))
        if not rows:
            return False
        sent = await asyncio.gather(
            *(
                self._bus.publish(f"event.{row.subject}", row.payload, f"{self._bus.service}-{row.id}", row.traceparent)
                for row in rows
            ),
            return_exceptions=True,
        )
        crash.point("relay.published")
        done = [row.id for row, error in zip(rows, sent, strict=True) if error is None]
        failed = [error for error in sent if error is not None]
        async with self._store.open_pipeline(self._database) as store:
            await store.driver.execute("DELETE FROM outbox WHERE id = ANY (%s::bigint[])", [done])
            if left := [row.id for row in rows if row.id not in done]:
                free_again = update(outbox).where(outbox.c.id.in_(left)).values(claim_expire_time=text("'epoch'"))
                await store.connection.execute(free_again)
        RELAYED.inc(len(done))
        if failed:
            raise failed[0]
        return len(rows) == RELAY_BATCH


class Inbox:
    """Feeds one consumer from the broker, with its own place in the stream."""

    def __init__(self, database: Database, bus: Bus, store: type[Store], consumer: Consumer) -> None:
        self._database, self._bus, self._store, self.consumer = database, bus, store, consumer
        self._subject = consumer.subject()
        self._durable = f"{bus.service}_{self._subject.replace('.', '_')}"
        self._subscription: JetStreamContext.PullSubscription | None = None
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
        free = max(1, self.consumer.concurrency - len(self._running))
        try:
            messages = await (await self._subscribed()).fetch(free, timeout=FETCH_SECONDS)
        except (TimeoutError, nats.errors.TimeoutError, APIError):
            WAITING.labels(self._durable).set(0)
            await self._exists()
            return True
        WAITING.labels(self._durable).set(messages[-1].metadata.num_pending)
        for message in messages:
            await self._places.acquire()
            task = asyncio.create_task(self._deliver(message))
            self._running.add(task)
            task.add_done_callback(self._release)
        return True

    def _release(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._places.release()

    async def drain(self, timeout_seconds: float) -> None:
        """Waits for what is in hand; what takes longer is cut off, and delivered again. What the broker still sends to
        the last fetch would be nobody's until `ACK_WAIT_SECONDS` are over.
        """
        self._leaving.set()
        if self._subscription is not None:
            await guarded(self._durable, self._subscription.unsubscribe())
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=timeout_seconds)
            if late:
                log.warning("cut off", consumer=self._durable, count=len(late))
            await ended(late)

    async def _subscribed(self) -> "JetStreamContext.PullSubscription":
        if self._subscription is None:
            config = ConsumerConfig(
                durable_name=self._durable,
                ack_wait=ACK_WAIT_SECONDS,
                # What is put off counts too: a few merchants that wait must not fill it for all.
                max_ack_pending=MAX_ACK_PENDING,
            )
            stream = "WORK" if self.consumer.lane else "EVENTS"
            await self._bus.ensure_streams()
            self._subscription = await self._bus.stream.pull_subscribe(
                self._subject, durable=self._durable, stream=stream, config=config
            )
        return self._subscription

    async def _exists(self) -> None:
        """A store that was wiped has forgotten us: begin anew."""
        try:
            if self._subscription is not None:
                await self._subscription.consumer_info()
        except (NotFoundError, ServiceUnavailableError):
            self._subscription = None

    async def _deliver(self, message: Msg) -> None:
        headers = message.headers or {}
        key = headers.get("Nats-Msg-Id", "")
        span = trace.begin("CONSUMER", headers.get(trace.HEADER, ""))
        delivery = Delivery(f"{self._durable}:{key}", message.in_progress, self._leaving)
        beat = asyncio.create_task(_beat(message))
        try:
            error = await guarded(self._durable, self._handled(message, delivery))
        finally:
            beat.cancel()
        outcome = "failed" if error else "handled"
        HANDLED.labels(self._durable, outcome).observe(span.end(self._durable, failed=error is not None))
        if error is None:
            self._faults.pop(delivery.key, None)
            return
        if len(self._faults) >= FAULTS_MAX:
            self._faults.clear()
        self._faults[delivery.key] += 1
        faults = self._faults[delivery.key]
        if faults < MAX_DELIVER:
            await guarded(self._durable, message.nak(delay=min(2**faults, RETRY_SECONDS_MAX)))
        elif await guarded(self._durable, self._bury(message, delivery, faults, error)) is None:
            self._faults.pop(delivery.key, None)
            await guarded(self._durable, message.term())

    async def _handled(self, message: Msg, delivery: Delivery) -> None:
        try:
            await self.consumer.handle(self.consumer.message.FromString(message.data), delivery)
        except RetryLater as retry:
            await message.nak(delay=retry.seconds)
        else:
            await message.ack()

    async def _bury(self, message: Msg, delivery: Delivery, deliveries: int, error: Exception) -> None:
        row: dict[str, object] = {"subject": self._subject, "key": delivery.key, "payload": message.data}
        row |= {"deliveries": deliveries, "error": repr(error)[:1000]}
        async with self._store.open_pipeline(self._database) as store:
            await store.connection.execute(self._store.metadata.tables["dead_letters"].insert().values(row))
        DEAD_LETTERS.labels(self._subject).inc()


async def _beat(message: Msg) -> None:
    """Tells the broker that the message is still in hand, well within `ACK_WAIT_SECONDS`."""
    while True:
        await asyncio.sleep(ACK_WAIT_SECONDS / 4)
        await guarded("in_progress", message.in_progress())
