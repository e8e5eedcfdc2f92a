"""One transaction, with its merchant set, and the events that leave with it.

Two roles: the merchants' calls run under row-level security, where a query that forgets its merchant finds nothing;
the service's own jobs run under the pipeline's role, across merchants. See docs/adr/0003.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import ClassVar, Self, TypeVar, cast
from uuid import UUID

import orjson
import psycopg
from google.protobuf.message import Message
from prometheus_client import Gauge
from psycopg.adapt import AdaptersMap
from psycopg.errors import DeadlockDetected, LockNotAvailable
from psycopg.types.json import set_json_loads
from psycopg.types.string import TextLoader
from sqlalchemy import (
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    QueuePool,
    Table,
    Text,
    Uuid,
    func,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import BIGINT, insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from kit import trace
from kit.config import ServiceSettings
from kit.errors import AlreadyExists, Unavailable
from kit.rows import Driver

# As arrays: a statement that the driver prepares once, however many there are.
EMIT = b"""
INSERT INTO outbox (subject, payload, traceparent)
SELECT subject, payload, %s FROM unnest(%s::text[], %b::bytea[]) AS event (subject, payload)
"""
IN_USE = Gauge("database_connections_in_use", "Connections that are out of a pool.", ["role"])
# A process that is frozen or cut off in a transaction must not hold up the others.
TIMEOUTS = {"idle_in_transaction_session_timeout": "60s", "lock_timeout": "15s", "statement_timeout": "120s"}
Answer = TypeVar("Answer", bound=Message)
Result = TypeVar("Result")


# Of a UUID we want the text, which the driver has, and of JSON only what is in it.
ADAPTERS = AdaptersMap(psycopg.adapters)
ADAPTERS.register_loader("uuid", TextLoader)
set_json_loads(orjson.loads, ADAPTERS)


class IdempotencyKeyReused(AlreadyExists):
    """This request id was used before, for another request."""


class Contended(Unavailable):
    """Somebody else is writing the same at this moment; try again."""


class Database:
    """A service's two engines, and the event that wakes its relay."""

    def __init__(self, settings: ServiceSettings, service: str) -> None:
        options = {
            "pool_size": settings.database_pool_size,
            "max_overflow": 0,
            "pool_timeout": 5,
            # The one that was used last is the warmest, on both ends.
            "pool_use_lifo": True,
            "connect_args": {
                "application_name": service,
                "connect_timeout": 5,
                "tcp_user_timeout": 30_000,
                "context": ADAPTERS,
                "options": " ".join(f"-c {name}={limit}" for name, limit in TIMEOUTS.items()),
            },
            # Without it `rowcount` is -1 after an INSERT, and ON CONFLICT DO NOTHING looks like success.
            "execution_options": {"preserve_rowcount": True},
            # An error that is logged shows no contact's data.
            "hide_parameters": True,
            # `_begun` says BEGIN.
            "isolation_level": "AUTOCOMMIT",
        }
        self.merchants = create_async_engine(settings.database_url.get_secret_value(), **options)
        self.pipeline = create_async_engine(settings.pipeline_database_url.get_secret_value(), **options)
        for role, engine in (("merchants", self.merchants), ("pipeline", self.pipeline)):
            IN_USE.labels(role).set_function(cast(QueuePool, engine.pool).checkedout)
        self.emitted = asyncio.Event()

    async def close(self) -> None:
        await self.merchants.dispose()
        await self.pipeline.dispose()


class Store:
    """A transaction. Subclasses hold the SQL statements of their service, and nothing else."""

    metadata: ClassVar[MetaData]

    #: What the connection stands on, in the same transaction: for COPY, and for `rows.Reading`.
    driver: Driver

    def __init__(self, connection: AsyncConnection, merchant_id: str) -> None:
        self.connection = connection
        self.merchant_id = merchant_id
        self._has_emitted = False

    @classmethod
    @asynccontextmanager
    async def open(cls, database: Database, merchant_id: str) -> AsyncIterator[Self]:
        """A merchant's transaction: commits when the block ends, rolls back when it raises. Nothing else commits.
        Refuses `Contended`.
        """
        async with cls._transaction(database, database.merchants, str(UUID(merchant_id))) as store:
            yield store

    @classmethod
    async def read(cls, database: Database, merchant_id: str, ask: Callable[[Self], Awaitable[Result]]) -> Result:
        """What one `rows.Reading` finds, a transaction by itself: one message to the database, where with `open` there
        are three. Any other statement finds nothing.
        """

        async def asked(driver: Driver) -> Result:
            store.driver = driver
            return await ask(store)

        async with database.merchants.connect() as connection:
            store = cls(connection, str(UUID(merchant_id)))
            return await _fresh(connection, asked)

    @classmethod
    @asynccontextmanager
    async def open_pipeline(cls, database: Database) -> AsyncIterator[Self]:
        """A transaction of the service's own, across merchants."""
        async with cls._transaction(database, database.pipeline, "") as store:
            yield store

    @classmethod
    @asynccontextmanager
    async def open_snapshot(cls, database: Database, merchant_id: str) -> AsyncIterator[Self]:
        """A merchant's transaction that only reads, and sees everything as it was at its begin.

        It lives as long as the caller reads; one who stands still for a minute is cut off.
        """
        mode = "ISOLATION LEVEL REPEATABLE READ READ ONLY"
        async with cls._transaction(database, database.merchants, str(UUID(merchant_id)), mode) as store:
            yield store

    @classmethod
    @asynccontextmanager
    async def _transaction(
        cls, database: Database, engine: AsyncEngine, merchant_id: str, mode: str = ""
    ) -> AsyncIterator[Self]:
        begin = f"BEGIN {mode}"
        if merchant_id:
            begin += f"; SET LOCAL astronote.merchant_id = '{merchant_id}'"
        with _contended():
            async with engine.connect() as connection:
                store = cls(connection, merchant_id)
                store.driver = await _fresh(connection, lambda driver: _begun(driver, begin))
                yield store
                await store.driver.commit()
        if store._has_emitted:
            database.emitted.set()

    async def wait_at_most(self, milliseconds: int) -> None:
        """For each lock from here on; who waits longer is refused with `Contended`."""
        await self.driver.execute(f"SET LOCAL lock_timeout = {milliseconds}".encode(), prepare=False)

    async def emit(self, *events: Message) -> None:
        """Leaves events in the outbox; they go out after the commit, or not at all."""
        if not events:
            return
        subjects = [each.DESCRIPTOR.full_name for each in events]
        await self.driver.execute(EMIT, [trace.current(), subjects, [each.SerializeToString() for each in events]])
        self._has_emitted = True

    async def first_time(self, key: str) -> bool:
        """Notes in the inbox that an event is being handled; false when it was handled before."""
        inbox = self.metadata.tables["inbox"]
        result = await self.connection.execute(insert(inbox).values(key=key).on_conflict_do_nothing())
        return bool(result.rowcount)

    async def replayed(self, request: Message, answer: type[Answer]) -> Answer | None:
        """What this `request_id` was answered before, if it was; a request without an id is always new.

        Of two at once the second waits here for the first's commit. Refuses `IdempotencyKeyReused`.
        """
        if not request.request_id:  # type: ignore[attr-defined]
            return None
        requests = self.metadata.tables["requests"]
        row = self._request(request) | {"request_hash": _hash(request), "answer": b""}
        claimed = await self.connection.execute(insert(requests).values(row).on_conflict_do_nothing())
        return None if claimed.rowcount else await self.recalled(request, answer)

    async def recalled(self, request: Message, answer: type[Answer]) -> Answer | None:
        """As `replayed`, but takes no place: for a look before other services are asked."""
        requests = self.metadata.tables["requests"]
        found = await self.connection.execute(
            select(requests.c.request_hash, requests.c.answer).filter_by(**self._request(request))
        )
        row = found.one_or_none()
        if row is None:
            return None
        request_hash, payload = row
        if request_hash != _hash(request):
            raise IdempotencyKeyReused(request_id=request.request_id)  # type: ignore[attr-defined]
        return answer.FromString(payload)

    async def answered(self, request: Message, answer: Answer) -> Answer:
        """Keeps the answer for the next time that this `request_id` comes."""
        if request.request_id:  # type: ignore[attr-defined]
            requests = self.metadata.tables["requests"]
            kept = requests.update().filter_by(**self._request(request)).values(answer=answer.SerializeToString())
            await self.connection.execute(kept)
        return answer

    def _request(self, request: Message) -> dict[str, str]:
        request_id: str = request.request_id  # type: ignore[attr-defined]
        return {"merchant_id": self.merchant_id, "method": request.DESCRIPTOR.name, "request_id": request_id}


@contextmanager
def _contended() -> Iterator[None]:
    try:
        yield
    except (DBAPIError, psycopg.OperationalError) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        if isinstance(cause, LockNotAvailable | DeadlockDetected):
            raise Contended from error
        raise


async def _begun(driver: Driver, begin: str) -> Driver:
    """In its transaction: one round trip, where SQLAlchemy makes two."""
    await driver.execute(begin.encode(), prepare=False)
    return driver


async def _fresh(connection: AsyncConnection, work: Callable[[Driver], Awaitable[Result]]) -> Result:
    """What the first work on a connection gives, which changes nothing."""
    for is_last in (False, True):
        driver = cast(Driver, (await connection.get_raw_connection()).driver_connection)
        try:
            result = await work(driver)
        except psycopg.OperationalError:
            # The pool's connections are from before the database was restarted. Nothing was done yet: begin anew.
            if is_last or not driver.broken:
                raise
            await connection.invalidate()
        else:
            break
    return result


def _hash(request: Message) -> bytes:
    return hashlib.sha256(request.SerializeToString(deterministic=True)).digest()


def kit_tables(metadata: MetaData) -> None:
    """Adds the tables that kit itself needs to a service's schema."""
    now = func.now()
    Table(
        "outbox",
        metadata,
        Column("id", BIGINT, Identity(), primary_key=True),
        Column("subject", Text, nullable=False),
        Column("payload", LargeBinary, nullable=False),
        Column("create_time", DateTime(timezone=True), nullable=False, server_default=now),
        Column("claim_expire_time", DateTime(timezone=True), nullable=False, server_default=text("'epoch'")),
        Column("traceparent", Text, nullable=False, server_default=""),
    )
    Table(
        "inbox",
        metadata,
        Column("key", Text, primary_key=True),
        Column("create_time", DateTime(timezone=True), nullable=False, server_default=now),
        Index("inbox_create_time_idx", "create_time"),
    )
    Table(
        "dead_letters",
        metadata,
        Column("id", BIGINT, Identity(), primary_key=True),
        Column("subject", Text, nullable=False),
        Column("key", Text, nullable=False),
        Column("payload", LargeBinary, nullable=False),
        Column("deliveries", Integer, nullable=False),
        Column("error", Text, nullable=False),
        Column("create_time", DateTime(timezone=True), nullable=False, server_default=now),
    )
    Table(
        "requests",
        metadata,
        Column("merchant_id", Uuid(as_uuid=False), primary_key=True),
        Column("method", Text, primary_key=True),
        Column("request_id", Text, primary_key=True),
        Column("request_hash", LargeBinary, nullable=False),
        Column("answer", LargeBinary, nullable=False),
        Column("create_time", DateTime(timezone=True), nullable=False, server_default=now),
        Index("requests_create_time_idx", "create_time"),
    )
