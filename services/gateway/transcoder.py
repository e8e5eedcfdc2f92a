"""A route at work: one HTTP request becomes one RPC, and its answer one HTTP answer."""

import asyncio
import contextlib
import mimetypes
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import grpc
import orjson
from google.protobuf.message import Message

from kit.channel import CLIENT_ADDRESS_HEADER, CLIENT_AGENT_HEADER, CLIENT_PURPOSE_HEADER, Metadata
from services.gateway import cookies, problem, representation
from services.gateway.authentication import Principal
from services.gateway.binding import Binding
from services.gateway.contracts import cookies as cookie_fields
from services.gateway.encoder import encoder
from services.gateway.errors import ClientGone, ContractInvalid, Draining
from services.gateway.exchange import JSON, Exchange, Header
from services.gateway.lanes import Service
from services.gateway.routes import Route
from services.gateway.settings import Settings

PIECE_BYTES = 256 * 1024
# What gRPC says of a write that the call's end overtook.
OVERTAKEN = "Internal error from Core"
# A provider's proof of itself goes to the service that can check it.
WEBHOOK_HEADERS = ("x-webhook-secret", "x-webhook-signature", "stripe-signature", "content-type")
HEADER_LENGTH_MAX = 2048
AGENT_LENGTH_MAX = 300
PURPOSES = ("sec-purpose", "purpose", "x-purpose", "x-moz")
EVENTS = "text/event-stream"
Value = TypeVar("Value")
Carry = Callable[[Exchange, list[str], Metadata], Awaitable[None]]


class Transcoder:
    """Compiled once a route."""

    def __init__(self, route: Route, service: Service, settings: Settings, ending: asyncio.Event) -> None:
        self.route, self.method, self._service, channel = route, route.method, service, service.peer.channel
        self._settings, self._ending = settings, ending
        self._binding = Binding(route)
        self._encode = encoder(self.method.output)
        self._cookies = cookie_fields(self.method.output)
        self.timeout_seconds = self.method.limits.timeout_seconds or settings.timeout_seconds
        self.body_bytes_max = self.method.limits.body_bytes_max or settings.body_bytes_max
        self._carry = self._kind()
        codec: dict[str, Any] = {
            "request_serializer": self.method.request.SerializeToString,
            "response_deserializer": self.method.answer.FromString,
        }
        if self.method.takes_stream:
            self._stub: Any = channel.stream_unary(self.method.path, **codec)
        elif self.method.answers_stream:
            self._stub = channel.unary_stream(self.method.path, **codec)
        else:
            self._stub = channel.unary_unary(self.method.path, **codec)

    def _kind(self) -> Carry:
        method = self.method
        if method.takes_stream:
            if method.answers_stream or not self._binding.takes_file:
                raise ContractInvalid(f"{method.path}: only a file can be streamed up, with one answer")
            return self._upload
        if method.answers_stream:
            return self._download if method.answers_file else self._events
        return self._unary

    async def carry(self, exchange: Exchange, values: list[str], principal: Principal) -> None:
        """Answers the exchange. Raises what the request is refused for, by the gateway or by the service."""
        metadata = self._service.peer.metadata(
            principal.merchant_id, principal.role, principal.user_id, principal.api_key_id
        )
        metadata += (
            (CLIENT_ADDRESS_HEADER, exchange.client_address),
            (CLIENT_AGENT_HEADER, _carried(exchange.headers.get("user-agent", ""))),
            (CLIENT_PURPOSE_HEADER, _purpose(exchange)),
        )
        if principal.role == "webhook":
            metadata += _proofs(exchange)
        if self.method.takes_stream or self.method.answers_stream:
            async with self._service.streams.place(principal.merchant_id):
                await self._carry(exchange, values, metadata)
        else:
            await self._carry(exchange, values, metadata)

    async def _request(self, exchange: Exchange, values: list[str]) -> Message:
        body = b""
        if self._binding.body is not None:
            body = await exchange.body(self.body_bytes_max, self._settings.body_idle_seconds)
        return self._binding.request(exchange, values, body)

    async def _unary(self, exchange: Exchange, values: list[str], metadata: Metadata) -> None:
        request = await self._request(exchange, values)
        # A place is for the service's time: neither a slow body nor a slow reader holds one.
        async with self._service.calls:
            answer = await self._stub(request, metadata=metadata, timeout=self.timeout_seconds)
        await self._answer(exchange, answer)

    async def _answer(self, exchange: Exchange, answer: Any) -> None:
        headers = cookies.set_by(answer, self._cookies) if self._cookies else ()
        status = self.method.success_status
        if self.method.redirects:
            await exchange.answer(status, "", b"", [(b"location", answer.location.encode("ascii"))])
            return
        if self.method.answers_file:
            content_type, body = answer.content_type or "application/octet-stream", answer.data
        else:
            content_type, body = JSON, orjson.dumps(self._encode(answer))
        if self.method.changes_nothing:
            await representation.answer(exchange, status, content_type, representation.Kept(body), headers)
        else:
            await exchange.answer(status, content_type, body, headers)

    async def _upload(self, exchange: Exchange, values: list[str], metadata: Metadata) -> None:
        """A body is the service's only once it is here in full: whatever stops it before cancels the RPC.

        An empty piece ends the file, since to a server in Python a call that was cancelled looks, for a moment, like a
        stream that came to its end.
        """
        make = self._binding.first_of_file(exchange, values)
        call = self._stub(metadata=metadata, timeout=self.timeout_seconds)
        ends: list[grpc.aio.AioRpcError] = []
        call.add_done_callback(lambda call: ends.append(_end(call)))
        try:
            # Where the service ends the call meanwhile, what it has said is the call's end.
            with contextlib.suppress(asyncio.InvalidStateError, grpc.aio.AioRpcError):
                async for piece in exchange.pieces(self.body_bytes_max, self._settings.body_idle_seconds, PIECE_BYTES):
                    if call.done():
                        break
                    await call.write(make(piece))
                    make = self._binding.more_of_file
                if not call.done():
                    await call.write(make(b""))
                    await call.done_writing()
            answer = await _ended(call, ends)
        finally:
            call.cancel()
        await self._answer(exchange, answer)

    async def _download(self, exchange: Exchange, values: list[str], metadata: Metadata) -> None:
        """A failure before the first piece is an error; one after it breaks the connection off, so that half a file
        never passes for a whole one.
        """
        request = await self._request(exchange, values)
        call = self._stub(request, metadata=metadata, timeout=self.timeout_seconds)
        gone = asyncio.ensure_future(exchange.gone())
        try:
            piece = await _unless(gone, call.read())
            content_type = getattr(piece, "content_type", "") or "application/octet-stream"
            await exchange.start(self.method.success_status, content_type, [self._disposition(content_type)])
            while piece is not grpc.aio.EOF:
                await exchange.write(piece.data)
                piece = await _unless(gone, call.read())
            await exchange.finish()
        finally:
            gone.cancel()
            call.cancel()

    def _disposition(self, content_type: str) -> Header:
        """The file is named for the last word of the path: `/v1/contacts:export` gives `contacts.csv`."""
        words = [word for word in self.route.template.partition(":")[0].split("/") if word and "{" not in word]
        ending = mimetypes.guess_extension(content_type.partition(";")[0].strip()) or ""
        return b"content-disposition", f'attachment; filename="{words[-1]}{ending}"'.encode("ascii")

    async def _events(self, exchange: Exchange, values: list[str], metadata: Metadata) -> None:
        """Server-sent events: one for each message, a comment where nothing happens, and `error` where it fails."""
        request = await self._request(exchange, values)
        call = self._stub(request, metadata=metadata, timeout=self.timeout_seconds)
        gone = asyncio.ensure_future(exchange.gone())
        ending = asyncio.ensure_future(self._ending.wait())
        read: asyncio.Future[Any] | None = None
        try:
            while True:
                # A read that is given up would end the call: it is kept over the heartbeats.
                read = read or asyncio.ensure_future(call.read())
                await asyncio.wait(
                    (read, gone, ending),
                    timeout=self._settings.heartbeat_seconds,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if gone.done():
                    read.add_done_callback(lambda done: done.cancelled() or done.exception())
                    raise ClientGone
                if ending.done():
                    raise Draining
                message, read = (read.result(), None) if read.done() else (None, read)
                if not exchange.status:
                    await exchange.start(self.method.success_status, EVENTS, [(b"x-accel-buffering", b"no")])
                if message is grpc.aio.EOF:
                    break
                await exchange.write(b": alive\n\n" if message is None else self._event(message))
            await exchange.finish()
        except (grpc.aio.AioRpcError, Draining) as error:
            if not exchange.status:
                raise
            shown = problem.of_refusal(error) if isinstance(error, Draining) else problem.of_rpc(error, self.route)
            await exchange.write(b"event: error\ndata: %b\n\n" % problem.text(shown[1]))
            await exchange.finish()
        finally:
            for task in (gone, ending, read):
                if task is not None:
                    task.cancel()
            call.cancel()

    def _event(self, message: Any) -> bytes:
        named = self.method.names_events and message.event_id
        id = b"id: %b\n" % message.event_id.encode("ascii") if named else b""
        return b"%bdata: %b\n\n" % (id, orjson.dumps(self._encode(message)))


async def _ended(call: Any, ends: list[grpc.aio.AioRpcError]) -> Any:
    """The answer of a call. A write that the end of the call overtakes makes gRPC say that it failed within: before it
    says what the service said, or for good instead of it. In the one case the last word is the service's, in the other
    the first, which is in `ends`.
    """
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        if error.details() != OVERTAKEN:
            raise
        raise ends[0] from error


def _end(call: Any) -> grpc.aio.AioRpcError:
    """How a call has ended that has just ended."""
    return grpc.aio.AioRpcError(
        _at_once(call.code()),
        _at_once(call.initial_metadata()),
        _at_once(call.trailing_metadata()),
        _at_once(call.details()),
    )


def _at_once(coroutine: Coroutine[Any, Any, Value]) -> Value:
    """What a coroutine returns that has nothing to wait for: in the next turn of the loop it would be another."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        value: Value = end.value
        return value
    raise AssertionError("the call has not ended")


async def _unless(gone: "asyncio.Future[None]", read: Awaitable[Any]) -> Any:
    """What is read, unless the client goes first. Refuses `ClientGone`."""
    reading = asyncio.ensure_future(read)
    await asyncio.wait((reading, gone), return_when=asyncio.FIRST_COMPLETED)
    if not reading.done():
        reading.cancel()
        raise ClientGone
    return reading.result()


def _carried(given: str) -> str:
    """What gRPC's metadata can carry of it."""
    return "".join(letter for letter in given[:AGENT_LENGTH_MAX] if letter.isascii() and letter.isprintable())


def _purpose(exchange: Exchange) -> str:
    """Of what no person sees, as browsers and apps mark it."""
    if exchange.verb == "HEAD":
        return "head"
    return _carried(next((exchange.headers[name] for name in PURPOSES if name in exchange.headers), ""))


def _proofs(exchange: Exchange) -> Metadata:
    found = ((f"http-{name}", exchange.headers.get(name, "")) for name in WEBHOOK_HEADERS)
    return tuple(
        (name, value) for name, value in found if value and len(value) <= HEADER_LENGTH_MAX and _is_visible(value)
    )


def _is_visible(value: str) -> bool:
    return value.isascii() and value.isprintable()
