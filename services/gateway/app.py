"""The ASGI app: every request goes through here once, is answered once, and leaves one log line."""

import asyncio
import re
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator

import grpc
import httpx
import orjson
import structlog
from prometheus_client import Gauge, Histogram
from starlette.types import Receive, Scope, Send

from kit import caller
from kit.boundary import guarded
from kit.channel import Peer
from kit.errors import DomainError
from services.gateway import api_keys, contracts, docs, health, keys, openapi, problem, routes
from services.gateway.authentication import Authentication, Principal
from services.gateway.errors import ClientGone, Draining
from services.gateway.exchange import Exchange, headers_of
from services.gateway.settings import Settings
from services.gateway.tokens import Issuer, Tokens
from services.gateway.transcoder import JSON, Transcoder

NAME = "gateway"
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
SECONDS = Histogram("http_seconds", "Time to answer a request.", ["route", "status"])
IN_HAND = Gauge("http_in_hand", "Requests that are being answered.")
log = structlog.get_logger()


class Gateway:
    """Made inside the running loop, from the contracts that are installed."""

    def __init__(self, settings: Settings) -> None:
        files = contracts.files()
        identity = settings.identity(NAME)
        self._settings = settings
        self.draining = asyncio.Event()
        self.peers: dict[str, Peer] = {}
        for file in files:
            name = contracts.mesh_service(file)
            self.peers.setdefault(name, Peer(file, settings.address_of(name), identity))
        found = [route for file in files for method in contracts.methods(file) for route in routes.of(method)]
        self._table = routes.Table(found)
        self._transcoders = {
            route: Transcoder(route, self.peers[route.method.service], settings, self.draining) for route in found
        }
        self._client = httpx.AsyncClient(trust_env=False, follow_redirects=False, timeout=keys.TIMEOUT_SECONDS)
        self._authentication = Authentication(Tokens(self._issuers()), api_keys.of_accounts(self.peers["accounts"]))
        document = openapi.document(found, settings)
        self._pages = {
            b"/openapi.json": (JSON, orjson.dumps(document)),
            b"/docs": ("text/html; charset=utf-8", docs.page(document).encode()),
        }
        self._own: dict[bytes, Callable[[Exchange], Awaitable[None]]] = {
            b"/healthz": self._alive,
            b"/readyz": self._ready,
            **dict.fromkeys(self._pages, self._page),
        }

    def _issuers(self) -> Iterator[Issuer]:
        """Ours comes last: no other takes its name."""
        settings = self._settings
        for other in settings.external_issuers:
            found = keys.of_address(self._client, other.jwks_url, other.algorithm)
            yield Issuer(
                other.issuer,
                other.audience,
                found,
                algorithm=other.algorithm,
                token_type=other.token_type,
                merchant_claim=other.merchant_claim,
                user_claim=other.user_claim,
            )
        ours = keys.of_accounts(self.peers["accounts"])
        yield Issuer(settings.token_issuer, settings.token_audience, ours, names_roles=True)

    async def close(self) -> None:
        await self._client.aclose()
        for peer in self.peers.values():
            await peer.channel.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        start = time.perf_counter()
        headers = headers_of(scope)
        given = headers.get("x-request-id", "")
        request_id = given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        exchange = Exchange(scope, receive, send, request_id, headers)
        call = Call(exchange)
        IN_HAND.inc()
        try:
            if await guarded("http", self._answer(call)) is not None and not exchange.status:
                await _refuse(exchange, problem.internal())
        finally:
            IN_HAND.dec()
            call.record(time.perf_counter() - start)

    async def _answer(self, call: "Call") -> None:
        exchange = call.exchange
        caller.enter(caller.Caller(NAME, "public"), exchange.request_id)
        try:
            if exchange.verb in ("GET", "HEAD") and (own := self._own.get(exchange.path)):
                call.route = exchange.path.decode()
                await own(exchange)
                return
            route, values = self._table.match(exchange.verb, exchange.path)
            call.route = f"{route.verb} {route.template}"
            call.principal = await self._authentication.principal(
                route.method.role,
                exchange.headers.get("authorization", ""),
                changes_nothing=route.method.changes_nothing,
            )
            await self._transcoders[route].carry(exchange, values, call.principal)
        except ClientGone:
            call.status = 499
        except DomainError as error:
            await _refuse(exchange, problem.of_refusal(error))
        except grpc.aio.AioRpcError as error:
            await _refuse(exchange, problem.of_rpc(error, route))

    async def _alive(self, exchange: Exchange) -> None:
        await exchange.answer(200, JSON, b'{"status":"alive"}')

    async def _ready(self, exchange: Exchange) -> None:
        """503 while a service can't be reached, with its name, and while draining."""
        if self.draining.is_set():
            raise Draining
        states = await health.states(self.peers, self._settings.readiness_seconds)
        missing = [name for name, state in states.items() if state != health.SERVING]
        body = {"status": "missing" if missing else "ready", "missing": missing, "services": states}
        await exchange.answer(503 if missing else 200, JSON, orjson.dumps(body))

    async def _page(self, exchange: Exchange) -> None:
        content_type, body = self._pages[exchange.path]
        await exchange.answer(200, content_type, body, [(b"cache-control", b"public, max-age=60")])


class Call:
    """What the log line and the metrics say of an exchange."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.route = ""
        self.principal = Principal("public")
        self.status = 0

    def record(self, seconds: float) -> None:
        """The route stands for the path: ids and codes are not for logs."""
        status = self.status or self.exchange.status
        SECONDS.labels(self.route or "none", status).observe(seconds)
        log.info(
            "http",
            route=self.route,
            verb=self.exchange.verb,
            status=status,
            milliseconds=round(seconds * 1000, 2),
            merchant_id=self.principal.merchant_id,
        )


async def _refuse(exchange: Exchange, shown: problem.Shown) -> None:
    """Nothing where an answer has begun: the server then breaks the connection off."""
    if not exchange.status:
        status, content, headers = shown
        await exchange.answer(status, JSON, problem.text(content), headers)
