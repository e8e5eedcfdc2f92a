"""The ASGI app: every request goes through here once, is answered once, and leaves one log line."""

import asyncio
import re
import uuid
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus

import grpc
import httpx
import structlog
from prometheus_client import Gauge, Histogram
from starlette.types import Receive, Scope, Send

from kit import caller, trace, webpage
from kit.boundary import guarded
from kit.channel import Peer
from kit.errors import DomainError
from services.gateway import api_keys, contracts, error_pages, keys, own, problem, routes
from services.gateway.authentication import Authentication, Principal
from services.gateway.clients import Clients, network
from services.gateway.cors import Cors
from services.gateway.errors import ClientGone, HostInvalid, VerbNotAllowed
from services.gateway.exchange import JSON, Exchange, Room, headers_of
from services.gateway.lanes import Service
from services.gateway.own import Own
from services.gateway.rates import Guesses, Limits, Turns
from services.gateway.settings import Settings
from services.gateway.tokens import Issuer, Tokens
from services.gateway.transcoder import Transcoder

NAME = "gateway"
HOST = re.compile(r"[A-Za-z0-9._:\[\]-]{1,255}")
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
        #: Set when it is to go: it is not ready any more, and no connection outlasts its next answer.
        self.draining = asyncio.Event()
        #: Set when nobody comes any more: streams end, and whoever watches begins again elsewhere.
        self.ending = asyncio.Event()
        certificates, contract = settings.certificates(), defaultdict(list)
        for file in files:
            contract[contracts.mesh_service(file)].append(file)
        self.peers = {
            name: Peer(first, settings.address_of(name), identity, certificates, more)
            for name, (first, *more) in contract.items()
        }
        services = {name: Service.made(peer, settings) for name, peer in self.peers.items()}
        found = [route for file in files for method in contracts.methods(file) for route in routes.of(method)]
        self._table = routes.Table(found)
        turns = Turns()
        self._roads = {
            route: Road(
                Transcoder(route, services[route.method.service], settings, self.ending),
                Limits(turns, str(route), route.method, settings.rate_limit_factor),
            )
            for route in found
        }
        self._client = httpx.AsyncClient(trust_env=False, follow_redirects=False, timeout=keys.TIMEOUT_SECONDS)
        self._authentication = Authentication(
            Tokens(self._issuers()),
            api_keys.of_accounts(self.peers["accounts"]),
            Guesses(turns, settings.rate_limit_factor),
        )
        self._clients = Clients(settings.trusted_proxies, settings.forwarded_header)
        self._room = Room(settings.bodies_bytes_max)
        self._cors = Cors(settings.cors_origins)
        self._own = Own(found, self.peers, settings, self.draining)

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
        headers = headers_of(scope)
        given = headers.get("x-request-id", "")
        request_id = given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        exchange = Exchange(scope, receive, send, request_id, headers, self._room)
        call = Call(exchange, trace.begin("SERVER", headers.get(trace.HEADER, "")))
        IN_HAND.inc()
        try:
            if await guarded("http", self._answer(call)) is not None and not exchange.status:
                await _refuse(exchange, problem.internal())
        finally:
            exchange.close()
            IN_HAND.dec()
            call.record()

    async def _answer(self, call: "Call") -> None:
        exchange = call.exchange
        caller.enter(caller.Caller(NAME, "public"), exchange.request_id)
        try:
            self._place(exchange)
            if exchange.path in self._own:
                call.route = exchange.path.decode()
                await self._answer_own(exchange)
            elif exchange.verb == "OPTIONS":
                await self._answer_options(exchange, self._table.verbs(exchange.path))
            else:
                await self._carry(call)
        except ClientGone:
            call.status = 499
        except DomainError as error:
            await _refuse(exchange, problem.of_refusal(error))

    def _place(self, exchange: Exchange) -> None:
        """Who asks, and what he may see. Refuses `HostInvalid`: two readers of a request have to mean the same host."""
        headers = exchange.headers
        exchange.is_last = self.draining.is_set()
        exchange.shared = self._cors.headers(headers)
        exchange.takes_cookies = self._cors.takes_cookies(headers)
        exchange.client_address = self._clients.address(exchange.client_address, headers)
        exchange.network = network(exchange.client_address)
        if not HOST.fullmatch(headers.get("host", "")) and exchange.needs_host:
            raise HostInvalid

    async def _carry(self, call: "Call") -> None:
        exchange = call.exchange
        route, values = self._table.match(exchange.verb, exchange.path)
        call.route, road = str(route), self._roads[route]
        exchange.shows_page = route.method.answers_page and "text/html" in exchange.headers.get("accept", "")
        road.limits.admit_address(exchange.network)
        call.principal = principal = await self._authentication.principal(
            route.method.role,
            exchange.headers.get("authorization", ""),
            exchange.network,
            changes_nothing=route.method.changes_nothing,
        )
        road.limits.admit_caller(principal.merchant_id, principal.api_key_id or principal.user_id)
        try:
            await road.transcoder.carry(exchange, values, principal)
        except grpc.aio.AioRpcError as error:
            shown = problem.of_rpc(error, route)
            if shown[0] == HTTPStatus.INTERNAL_SERVER_ERROR:
                # Where it is the service's, its own log says more; what gRPC itself says stands nowhere else.
                log.error("rpc failed", route=call.route, code=error.code().name, details=error.details())
            await _refuse(exchange, shown)

    async def _answer_own(self, exchange: Exchange) -> None:
        if exchange.verb in ("GET", "HEAD"):
            await self._own.answer(exchange)
        elif exchange.verb == "OPTIONS":
            await self._answer_options(exchange, own.VERBS)
        else:
            raise VerbNotAllowed(allow=own.VERBS)

    async def _answer_options(self, exchange: Exchange, verbs: str) -> None:
        allow = (b"allow", verbs.encode("ascii"))
        await exchange.answer_empty(204, [allow, *self._cors.preflight(exchange.headers, verbs)])


@dataclass(frozen=True, slots=True)
class Road:
    """What a route's requests go through."""

    transcoder: Transcoder
    limits: Limits


class Call:
    """What the log line and the metrics say of an exchange."""

    def __init__(self, exchange: Exchange, span: trace.Span) -> None:
        self.exchange, self._span = exchange, span
        self.route = ""
        self.principal = Principal("public")
        self.status = 0

    def record(self) -> None:
        """The route stands for the path: ids and codes are not for logs."""
        status = self.status or self.exchange.status
        who = {"merchant_id": self.principal.merchant_id, "request_id": self.exchange.request_id}
        route = self.route or "none"
        seconds = self._span.end(route, failed=status >= HTTPStatus.INTERNAL_SERVER_ERROR, status=status, **who)
        SECONDS.labels(route, status).observe(seconds)
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
        if exchange.shows_page:
            await exchange.answer(status, webpage.CONTENT_TYPE, error_pages.page(status), headers)
        else:
            await exchange.answer(status, JSON, problem.text(content), headers)
