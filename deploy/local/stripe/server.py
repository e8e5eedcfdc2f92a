"""The life of a stand-in: opens the book, listens, posts events, and stops at once."""

import asyncio
from pathlib import Path
from types import TracebackType
from typing import Self

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from deploy.local.stripe.api import Api
from deploy.local.stripe.book import Book
from deploy.local.stripe.control import Control
from deploy.local.stripe.deliveries import Deliveries
from deploy.local.stripe.payments import Payments
from deploy.local.stripe.routes import Routes
from deploy.local.stripe.sessions import Sessions
from deploy.local.stripe.subscriptions import Subscriptions

_STOP_SECONDS_MAX = 5
# An idle connection that closes just as a caller writes on it would be a fault that nobody asked for.
_KEEP_ALIVE_SECONDS = 3_600


class StripeStandIn:
    """One stand-in on 127.0.0.1, for use with `async with`; it runs in the caller's event loop.

    `port` 0 takes any free one. Without `webhook_url` nothing is posted. With `data`, a folder, what it knows and what
    it has still to post survive.
    """

    def __init__(
        self,
        *,
        secret_key: str,
        webhook_url: str = "",
        webhook_secret: str = "",
        data: Path | None = None,
        port: int = 0,
    ) -> None:
        self._secret_key, self._data, self.port = secret_key, data, port
        self._deliveries = Deliveries(webhook_url, webhook_secret)
        self._state = ServerState()

    @property
    def url(self) -> str:
        """The base address, for `STRIPE_API_BASE`."""
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._protocol, "127.0.0.1", self.port, start_serving=False)
        self.port = self._server.sockets[0].getsockname()[1]
        book = Book(self._data, self._deliveries.post)
        payments = Payments(book)
        subscriptions = Subscriptions(book, payments)
        sessions = Sessions(book, payments, subscriptions, f"{self.url}/pay/")
        api = Api(book, payments, sessions, subscriptions, f"{self.url}/portal/")
        control = Control(book, payments, sessions, subscriptions)
        self._config = uvicorn.Config(
            Routes(self._secret_key, book, api, sessions, control).app,
            lifespan="off",
            access_log=False,
            log_config=None,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            ws="none",
        )
        self._deliveries.start(book)
        await self._server.start_serving()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Resets the connections, as a kill would."""
        self._server.close()
        for connection in list(self._state.connections):
            if isinstance(connection, HttpToolsProtocol):
                connection.transport.abort()
        if self._state.tasks:
            await asyncio.wait(self._state.tasks, timeout=_STOP_SECONDS_MAX)
        await self._deliveries.stop()

    def _protocol(self) -> HttpToolsProtocol:
        return HttpToolsProtocol(self._config, self._state, {})
