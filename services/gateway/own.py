"""What the gateway answers itself: whether it lives, whether it is ready, and what it offers."""

import asyncio
from collections.abc import Mapping, Sequence

import orjson

from kit.channel import Peer
from services.gateway import docs, health, openapi, representation
from services.gateway.errors import Draining
from services.gateway.exchange import JSON, Exchange
from services.gateway.routes import Route
from services.gateway.settings import Settings

#: The verbs of all of these.
VERBS = "GET, HEAD, OPTIONS"
PUBLIC = (b"cache-control", b"public, max-age=60")


class Own:
    def __init__(
        self, routes: Sequence[Route], peers: Mapping[str, Peer], settings: Settings, draining: asyncio.Event
    ) -> None:
        self._peers, self._settings, self._draining = peers, settings, draining
        document = openapi.document(routes, settings)
        pages = {
            b"/openapi.json": (JSON, orjson.dumps(document)),
            b"/docs": ("text/html; charset=utf-8", docs.page(document).encode()),
        }
        self._pages = {path: (kind, representation.Kept(body)) for path, (kind, body) in pages.items()}
        self._answers = {b"/healthz": self._alive, b"/readyz": self._ready, **dict.fromkeys(pages, self._page)}
        self._looking: asyncio.Task[dict[str, str]] | None = None

    def __contains__(self, path: bytes) -> bool:
        return path in self._answers

    async def answer(self, exchange: Exchange) -> None:
        await self._answers[exchange.path](exchange)

    async def _alive(self, exchange: Exchange) -> None:
        await exchange.answer(200, JSON, b'{"status":"alive"}')

    async def _ready(self, exchange: Exchange) -> None:
        """503 while a service can't be reached, with its name, and while draining. `?own` asks for the gateway alone:
        where Kubernetes asks, a service that is away must not take all gateways with it.
        """
        if self._draining.is_set():
            raise Draining
        if exchange.query == b"own":
            await exchange.answer(200, JSON, b'{"status":"ready"}')
            return
        # One look for all who ask meanwhile, since each asks every service.
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(health.states(self._peers, self._settings.readiness_seconds))
        states = await asyncio.shield(self._looking)
        missing = [name for name, state in states.items() if state != health.SERVING]
        body = {"status": "missing" if missing else "ready", "missing": missing, "services": states}
        headers = [(b"retry-after", b"1")] if missing else []
        await exchange.answer(503 if missing else 200, JSON, orjson.dumps(body), headers)

    async def _page(self, exchange: Exchange) -> None:
        content_type, kept = self._pages[exchange.path]
        await representation.answer(exchange, 200, content_type, kept, [PUBLIC])
