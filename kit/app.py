"""A whole service: its settings, database, bus, peers, and what it serves."""

import asyncio
import gc
import os
import signal
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import structlog
import uvloop
from google.protobuf.descriptor import FileDescriptor
from prometheus_client import start_http_server

from kit import log, schema, trace
from kit.boundary import GATHER_SECONDS, ended, forever
from kit.bus import RELAY_GATHER_SECONDS, Bus, Relay
from kit.channel import Peer
from kit.config import ServiceSettings
from kit.inbox import Consumer, Inbox
from kit.retention import Retention
from kit.server import Server, Servicers
from kit.store import Database, Store

# What is in hand may be with a provider, whose answer is not to be lost.
HANDS_DRAIN_SECONDS = 45.0
# A job's step that takes longer is cut off.
STEP_DRAIN_SECONDS = 5.0
Config = TypeVar("Config", bound=ServiceSettings)


@dataclass(frozen=True)
class Job:
    """Background work: `step` runs for ever, at once again while it answers that more is waiting (`forever`). What is
    woken looks by itself only for what other processes have left.
    """

    name: str
    step: Callable[[], Awaitable[bool]]
    idle_seconds: float = 1.0
    wake: asyncio.Event | None = None
    gather_seconds: float = GATHER_SECONDS


@dataclass(frozen=True)
class Parts:
    """What a service is made of."""

    servicers: Servicers
    consumers: Sequence[Consumer] = ()
    jobs: Sequence[Job] = ()
    #: What has to be closed at the end, such as a client of a provider.
    closers: Sequence[Callable[[], Awaitable[None]]] = ()


@dataclass
class App(Generic[Config]):
    """What a service is handed at start."""

    name: str
    settings: Config
    store: type[Store]
    database: Database = field(init=False)
    bus: Bus = field(init=False)

    def __post_init__(self) -> None:
        #: Set when this process is to go.
        self.leaving = asyncio.Event()
        self.identity = self.settings.identity(self.name)
        self.database = Database(self.settings, self.name)
        self.bus = Bus(self.settings.nats_url.get_secret_value(), self.name, self.settings.nats_replicas)

    def peer(self, file: FileDescriptor) -> Peer:
        """The service whose contract the file is."""
        address = self.settings.address_of(file.package.split(".")[1])
        return Peer(file, address, self.identity, self.settings.certificates())


class Running:
    """`async with Running(app, parts) as running:` serves and works until the block ends, then drains."""

    def __init__(self, app: App[Config], parts: Parts) -> None:
        self._app, self._parts = app, parts
        self._stack = AsyncExitStack()
        settings = app.settings
        self.server = Server(
            settings.address,
            parts.servicers,
            app.identity,
            settings.certificates(),
            settings.health_address,
            settings.drain_delay_seconds,
        )

    async def __aenter__(self) -> "Running":
        app = self._app
        self._stack.push_async_callback(app.database.close)
        await schema.migrated(app.database, app.name)
        await app.bus.connect()
        self._stack.push_async_callback(app.bus.close)
        for close in self._parts.closers:
            self._stack.push_async_callback(close)
        inboxes = [Inbox(app.database, app.bus, app.store, consumer) for consumer in self._parts.consumers]
        forget = Job("forget", Retention(app.database, app.store).step, 3600.0)
        feeds = [Job(inbox.consumer.subject(), inbox.step) for inbox in inboxes]
        self._inboxes, self._feeding = inboxes, self._begun(feeds)
        relaying = Relay(app.database, app.bus, app.store)
        relay = Job("relay", relaying.step, 2.0, app.database.emitted, RELAY_GATHER_SECONDS)
        self._working = self._begun([relay, forget, *self._parts.jobs])
        await self.server.__aenter__()
        return self

    def _begun(self, jobs: Sequence[Job]) -> list[asyncio.Task[None]]:
        leaving = self._app.leaving
        works = [forever(job.name, job.step, job.idle_seconds, leaving, job.wake, job.gather_seconds) for job in jobs]
        return [asyncio.create_task(work) for work in works]

    async def _drain(self) -> None:
        """Takes nothing new, and ends what is begun: what a job has claimed others would have to wait for."""
        self._app.leaving.set()
        for wake in (self._app.database.emitted, *(job.wake for job in self._parts.jobs if job.wake)):
            wake.set()
        await ended(self._feeding)
        await asyncio.gather(*(inbox.drain(HANDS_DRAIN_SECONDS) for inbox in self._inboxes))
        await asyncio.wait(self._working, timeout=STEP_DRAIN_SECONDS)
        await ended(self._working)

    async def __aexit__(self, *exception: object) -> None:
        await asyncio.gather(self._drain(), self.server.__aexit__())
        await self._stack.aclose()


@dataclass(frozen=True)
class Service(Generic[Config]):
    """Everything that `python -m services.<name>` needs to know; tests start the same in their own process."""

    name: str
    settings: type[Config]
    store: type[Store]
    parts: Callable[[App[Config]], Parts]

    def run(self) -> None:
        """Serves until SIGTERM or SIGINT."""
        run(self.name, self._main())

    async def _main(self) -> None:
        settings = self.settings()
        trace.export(self.name, settings.otel_exporter_otlp_endpoint)
        app = App(self.name, settings, self.store)
        host, port = app.settings.metrics_address.rsplit(":", 1)
        start_http_server(int(port), host)
        async with Running(app, self.parts(app)) as running:
            freeze()
            structlog.get_logger().info("serving", port=running.server.port)
            await stop_signal()
        structlog.get_logger().info("stopped")


def run(name: str, main: Coroutine[Any, Any, None]) -> None:
    """A process of the mesh. None of its threads takes the core from another that it has just woken (ADR 46)."""
    log.setup(name)
    # Where a container or its kernel refuses, in whatever words, it is as right, and slower.
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    uvloop.run(main)


async def stop_signal() -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await stopped.wait()


def freeze() -> None:
    """What a process is made of stays to its end, so the collector need not look through it again; nor through a batch
    in hand after each 700 of its objects, which took a tenth of the sender's CPU. But gRPC's server leaves a dozen
    objects a call that only the collector can free, and all calls wait for it: 50,000 at once took 100 ms.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(5_000, 20, 20)
