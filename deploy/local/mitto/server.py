"""The life of a stand-in: opens the record, listens, posts reports, and stops at once."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from deploy.local.mitto.behaviour import Conduct
from deploy.local.mitto.callbacks import Callback
from deploy.local.mitto.control import Control
from deploy.local.mitto.record import Record, Submission
from deploy.local.mitto.reports import Reporter
from deploy.local.mitto.routes import Routes
from deploy.local.mitto.submissions import Submissions

_STOP_SECONDS_MAX = 5
# An idle connection that closes just as a caller writes on it would be a fault that nobody asked for.
_KEEP_ALIVE_SECONDS = 3_600


class _Protocol(HttpToolsProtocol):
    """Hands the transport to the application, which must be able to reset a connection."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["state"]["transport"] = self.transport


class MittoStandIn:
    """One stand-in on 127.0.0.1, for use with `async with`; it runs in the caller's event loop.

    `port` 0 takes any free one. Without `callback_url` (`http://host:port`) nothing is posted. With `data`, a folder,
    what was accepted and what is still to report survive. `behaviour` is merged into the default one.
    """

    def __init__(
        self,
        *,
        api_key: str,
        callback_url: str | None = None,
        callback_secret: str = "",
        data: Path | None = None,
        port: int = 0,
        behaviour: Mapping[str, Any] | None = None,
    ) -> None:
        self._api_key = api_key
        self._callback_url = callback_url
        self._callback_secret = callback_secret
        self._data = data
        self.port = port
        self._conduct = Conduct(behaviour)
        self._state = ServerState()

    @property
    def url(self) -> str:
        """The base address, for `MITTO_API_BASE`."""
        return f"http://127.0.0.1:{self.port}"

    def summary(self) -> dict[str, Any]:
        """As `GET /_stand-in/summary`."""
        return self._control.totals()

    def accepted(self, destination: str) -> list[dict[str, Any]]:
        """As `GET /_stand-in/accepted`: what was accepted for `+E.164`."""
        return self._control.accepted_for(destination)

    def change_behaviour(self, changes: Mapping[str, Any]) -> None:
        """As `POST /_stand-in/behaviour`; raises pydantic's ValidationError for what it doesn't know."""
        self._conduct.change(changes)

    async def __aenter__(self) -> Self:
        self._record = Record(self._data)
        reporter, callback = None, None
        if self._callback_url is not None:
            url, secret = self._callback_url, self._callback_secret
            reporter, callback = Reporter(self._record, url, secret), lambda: Callback(url, secret)
        self._control = Control(self._record, self._conduct, reporter, callback)
        submissions = Submissions(self._record, self._conduct, reporter.schedule if reporter else _unreported)
        config = uvicorn.Config(
            Routes(self._api_key, submissions, self._control),
            lifespan="off",
            access_log=False,
            log_config=None,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            ws="none",
        )
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Protocol(config, self._state, {}), "127.0.0.1", self.port, backlog=1_024, start_serving=False
        )
        self.port = self._server.sockets[0].getsockname()[1]
        self._control.start()
        await self._server.start_serving()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Resets the connections, as a kill would; what was accepted but not answered stays accepted."""
        self._server.close()
        for connection in list(self._state.connections):
            if isinstance(connection, _Protocol):
                connection.transport.abort()
        if self._state.tasks:
            await asyncio.wait(self._state.tasks, timeout=_STOP_SECONDS_MAX)
        await self._control.stop()
        self._record.close()


def _unreported(submission: Submission) -> None:
    """Without a callback address there is nobody to report to."""
