"""What happens round every RPC: identity, access, validation, a deadline, metrics, a log line, and errors made into
statuses. Anticipated errors and bugs alike end here.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any, NoReturn, TypeAlias

import grpc
import psycopg
import structlog
from google.protobuf import descriptor_pool
from google.protobuf.message import Message
from prometheus_client import Histogram
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from kit import access, caller, trace, validation
from kit.channel import CLIENT_ADDRESS_HEADER, CLIENT_AGENT_HEADER, CLIENT_PURPOSE_HEADER, REQUEST_ID_HEADER
from kit.errors import DETAILS, DomainError, Unavailable
from kit.identity import HEADER, Identity

SECONDS = Histogram("rpc_seconds", "Time to answer an RPC.", ["method", "code"])
TIMEOUT_SECONDS = 30.0
STREAM_TIMEOUT_SECONDS = 3600.0
PASSED_ON = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.ALREADY_EXISTS,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    }
)
AWAY = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED})
CLIENT_HEADERS = (CLIENT_ADDRESS_HEADER, CLIENT_AGENT_HEADER, CLIENT_PURPOSE_HEADER)
log = structlog.get_logger()

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any] | None"
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class DatabaseUnavailable(Unavailable):
    """The database of this service is away; try again."""


class ServiceUnavailable(Unavailable):
    """A service that this needs is away; try again."""


class Boundary(grpc.aio.ServerInterceptor):
    """One instance a server. Each method is wrapped once, when it is first called."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self._wrapped: dict[str, Handler] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        details: grpc.HandlerCallDetails,
    ) -> Handler:
        method = str(details.method)
        if method not in self._wrapped:
            handler = await continuation(details)
            if handler is None or method.startswith("/grpc.health.v1."):
                return handler
            self._wrapped[method] = self._wrap(method, handler)
        return self._wrapped[method]

    def _wrap(self, method: str, handler: "grpc.RpcMethodHandler[Any, Any]") -> Handler:
        descriptor = descriptor_pool.Default().FindMethodByName(method[1:].replace("/", "."))
        rule = access.rule(descriptor)
        codec = {
            "request_deserializer": handler.request_deserializer,
            "response_serializer": handler.response_serializer,
        }
        if handler.response_streaming:
            stream = partial(self._stream, handler.unary_stream, rule, method)
            return grpc.unary_stream_rpc_method_handler(stream, **codec)
        unary = partial(self._unary, handler.stream_unary or handler.unary_unary, rule, method)
        wrap = (
            grpc.stream_unary_rpc_method_handler if handler.request_streaming else grpc.unary_unary_rpc_method_handler
        )
        return wrap(unary, **codec)

    async def _unary(self, behavior: Any, rule: access.Rule, method: str, request: Any, context: Context) -> Message:
        span, code = _begun(context), "OK"
        try:
            self._admit(rule, context)
            if isinstance(request, Message):
                validation.check(request)
            timeout = TIMEOUT_SECONDS if isinstance(request, Message) else STREAM_TIMEOUT_SECONDS
            async with asyncio.timeout(min(context.time_remaining() or timeout, timeout * 20)):
                answer: Message = await behavior(request, context)
                return answer
        except BaseException as error:  # noqa: BLE001 (the boundary)
            told = _told(error)
            code = _code(told)
            return await _end(context, method, told)
        finally:
            _done(method, code, span)

    async def _stream(
        self, behavior: Any, rule: access.Rule, method: str, request: Message, context: Context
    ) -> AsyncIterator[Message]:
        span, code = _begun(context), "OK"
        try:
            self._admit(rule, context)
            validation.check(request)
            async for message in behavior(request, context):
                yield message
        except BaseException as error:  # noqa: BLE001 (the boundary)
            told = _told(error)
            code = _code(told)
            await _end(context, method, told)
        finally:
            _done(method, code, span)

    def _admit(self, rule: access.Rule, context: Context) -> None:
        metadata = dict(context.invocation_metadata() or ())
        who = self._identity.verify(str(metadata.get(HEADER, "")))
        asked = metadata if who.service == access.GATEWAY else {}
        client = [str(asked.get(header, "")) for header in CLIENT_HEADERS]
        caller.enter(who, str(metadata.get(REQUEST_ID_HEADER) or uuid.uuid4()), *client)
        access.check(rule, who)


def _told(error: BaseException) -> BaseException:
    """Who is away, our database or a service that we ask, makes the call try again later."""
    if away(error):
        return DatabaseUnavailable()
    if isinstance(error, grpc.aio.AioRpcError) and error.code() in AWAY:
        return ServiceUnavailable()
    return error


def _code(error: BaseException) -> str:
    if isinstance(error, DomainError):
        return error.code.name
    if isinstance(error, grpc.aio.AioRpcError) and error.code() in PASSED_ON:
        return error.code().name
    if isinstance(error, TimeoutError):
        return "DEADLINE_EXCEEDED"
    return "CANCELLED" if isinstance(error, asyncio.CancelledError | GeneratorExit) else "INTERNAL"


async def _end(context: Context, method: str, error: BaseException) -> NoReturn:
    """Ends the call with the status of what was raised; a cancelled call just ends."""
    if isinstance(error, grpc.aio.AbortError) or not isinstance(error, Exception):
        raise error
    if isinstance(error, grpc.aio.AioRpcError) and error.code() in PASSED_ON:
        # What another service refused is refused with its words.
        details = dict(error.trailing_metadata() or ()).get(DETAILS)
        await context.abort(error.code(), error.details() or "", ((DETAILS, details),) if details else ())
    if isinstance(error, DomainError):
        status = error.status(domain=method.split(".")[1])
        trailer = ((DETAILS, status.SerializeToString()),)
        await context.abort(error.code, status.message, trailer)
    if isinstance(error, TimeoutError):
        await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "The call took too long.")
    log.error("rpc failed", method=method, error=repr(error)[:500], exc_info=error)
    await context.abort(grpc.StatusCode.INTERNAL, "Internal error.")


def away(error: BaseException) -> bool:
    """Whether the database went away, as opposed to having refused a statement."""
    if isinstance(error, PoolTimeout):
        return True
    return isinstance(error, OperationalError | InterfaceError | psycopg.OperationalError) or (
        isinstance(error, DBAPIError) and error.connection_invalidated
    )


def _begun(context: Context) -> trace.Span:
    return trace.begin("SERVER", str(dict(context.invocation_metadata() or ()).get(trace.HEADER, "")))


def _done(method: str, code: str, span: trace.Span) -> None:
    who = {"merchant_id": _merchant_id(), "request_id": caller.request_id()}
    seconds = span.end(method, failed=code in trace.FAILED, code=code, **who)
    SECONDS.labels(method, code).observe(seconds)
    log.info("rpc", method=method, code=code, milliseconds=round(seconds * 1000, 2), merchant_id=who["merchant_id"])


def _merchant_id() -> str:
    try:
        return caller.merchant_id()
    except LookupError:
        return ""
