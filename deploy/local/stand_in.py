"""What a stand-in for a third party is: an HTTP server on 127.0.0.1 that opens, serves, and stops as a kill would."""

import asyncio
import signal
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

_STOP_SECONDS_MAX = 5
# An idle connection that closes just as a caller writes on it would be a fault that nobody asked for.
_KEEP_ALIVE_SECONDS = 3_600


class _Protocol(HttpToolsProtocol):
    """Hands the transport to the application, which may have to reset a connection."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["state"]["transport"] = self.transport


class StandIn(ABC):
    """For use with `async with`, in the caller's event loop. `port` 0 takes any free one, known once it is entered."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._state = ServerState()

    @abstractmethod
    def open(self) -> Callable[..., Any]:
        """Reads what is kept, begins what goes on by itself. The port is known; what it returns serves from then on."""

    @abstractmethod
    async def close(self) -> None:
        """Ends what `open` began; nobody is connected any more."""

    @property
    def url(self) -> str:
        """The base address, for the setting of the service that calls."""
        return f"http://127.0.0.1:{self.port}"

    async def run(self) -> None:
        """Until SIGTERM or Ctrl-C."""
        stopped = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopped.set)
        async with self:
            sys.stderr.write(f"{type(self).__name__} listens on {self.url}\n")
            await stopped.wait()

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            self._protocol, "127.0.0.1", self.port, backlog=1_024, start_serving=False
        )
        self.port = self._server.sockets[0].getsockname()[1]
        self._config = uvicorn.Config(
            self.open(),
            lifespan="off",
            access_log=False,
            log_config=None,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            ws="none",
        )
        await self._server.start_serving()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Resets the connections, as a kill would; what was done but not answered stays done."""
        self._server.close()
        for connection in list(self._state.connections):
            if isinstance(connection, _Protocol):
                connection.transport.abort()
        if self._state.tasks:
            await asyncio.wait(self._state.tasks, timeout=_STOP_SECONDS_MAX)
        await self.close()

    def _protocol(self) -> _Protocol:
        return _Protocol(self._config, self._state, {})
