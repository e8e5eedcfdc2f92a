"""The gateway behind a port: from its socket to its drain."""

import asyncio
import contextlib
import resource
import socket
from collections.abc import Generator
from types import TracebackType

import structlog
import uvicorn
from prometheus_client import start_http_server

from kit import trace
from kit.app import freeze, stop_signal
from services.gateway.app import NAME, Gateway
from services.gateway.protocol import BoundedProtocol
from services.gateway.settings import Settings

BACKLOG = 2048
# Files that are no connections: channels, logs, the event loop's own.
OTHER_FILES = 200
FILES_MAX = 1_000_000
KEEP_ALIVE_SECONDS = 75


async def serve(settings: Settings) -> None:
    """Serves, metrics on a port of their own, until SIGTERM or SIGINT."""
    trace.export(NAME, settings.otel_exporter_otlp_endpoint)
    host, port = settings.metrics_address.rsplit(":", 1)
    start_http_server(int(port), host)
    async with Serving(settings) as serving:
        freeze()
        structlog.get_logger().info("serving", port=serving.port)
        await stop_signal()
    structlog.get_logger().info("stopped")


class Server(uvicorn.Server):
    """Signals are ours, since draining begins before the socket closes. `ending` is set when it has."""

    def __init__(self, config: uvicorn.Config, ending: asyncio.Event) -> None:
        super().__init__(config)
        self._ending = ending

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # In the next turn of the loop, when each connection knows that it ends: a stream that ends before is begun
        # again on its own connection, here.
        asyncio.get_running_loop().call_soon(self._ending.set)
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


class Serving:
    """`async with Serving(settings) as serving:` answers on `serving.port` until the block ends, then drains."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def __aenter__(self) -> "Serving":
        settings = self._settings
        self.gateway = Gateway(settings)
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        self._socket = socket.create_server((settings.host, settings.port), family=family, backlog=BACKLOG)
        # Connections inherit it. asyncio sets it only where the protocol is spelled out; without it an answer in two
        # packets waits 40 ms for the client's delayed acknowledgement.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.port: int = self._socket.getsockname()[1]
        config = uvicorn.Config(
            self.gateway,
            http=_protocol(min(settings.connections_max, _files_max() - OTHER_FILES)),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=settings.drain_seconds,
        )
        self._server = Server(config, self.gateway.ending)
        self._task = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Not ready first, and each answer the last of its connection, so that nobody asks on one that closes; then no
        new connection, then the end of what is in hand.
        """
        self.gateway.draining.set()
        await asyncio.sleep(self._settings.drain_delay_seconds)
        self._server.should_exit = True
        await self._task
        await self.gateway.close()


def _protocol(connections_max: int) -> type[BoundedProtocol]:
    """A class, since uvicorn makes the instances."""
    return type("Protocol", (BoundedProtocol,), {"connections_max": connections_max})


def _files_max() -> int:
    """How many files this process may open, after it has asked for all that it may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_MAX if hard == resource.RLIM_INFINITY else hard
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted
