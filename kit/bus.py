"""Events and work between services, carried by JetStream, at least once.

PostgreSQL is the truth: an event stands in its sender's outbox until the broker has it, a handled one in its
receiver's inbox, and one that can't be handled in its `dead_letters`. A subject is the full name of a message, so the
protos are the only list of events there is. `EVENTS` keeps a week for its durable consumers; `WORK` is a work queue.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field, replace

import nats
import structlog
from google.protobuf.message import Message
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.api import RetentionPolicy, StreamConfig
from nats.js.errors import BadRequestError
from prometheus_client import Counter as Count
from prometheus_client import Gauge
from sqlalchemy import func, select, text, update

from kit import crash, trace
from kit.rows import one_of
from kit.store import Database, Store

RELAY_BATCH = 200
# A round is two transactions. Who emits while nobody else does waits for none of it.
RELAY_GATHER_SECONDS = 0.05
CLAIM_SECONDS = 30
STREAMS = (
    StreamConfig(name="EVENTS", subjects=["event.>"], max_age=7 * 86400, duplicate_window=600),
    StreamConfig(name="WORK", subjects=["work.>"], retention=RetentionPolicy.WORK_QUEUE, duplicate_window=600),
)
RELAYED = Count("outbox_relayed", "Events that left the outbox.")
WAITED = Gauge("outbox_oldest_seconds", "How long the oldest event that was last seen in the outbox had stood there.")
# By service, so that a process without a bus, such as the gateway, does not say that it has lost its own.
BROKER_CONNECTED = Gauge("broker_connected", "Whether JetStream can be reached.", ["service"])
log = structlog.get_logger()


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
            .where(one_of(outbox.c.id, free))
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
