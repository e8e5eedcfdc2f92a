"""Errors as HTTP answers: one shape, and one table from gRPC's codes to HTTP's."""

import math
from http import HTTPStatus
from typing import Any

import grpc
import orjson
from google.protobuf import json_format
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2 as error_details
from google.rpc.status_pb2 import Status
from grpc import StatusCode

from kit.errors import DomainError
from services.gateway.contracts import is_map
from services.gateway.errors import Refusal, TokenInvalid, VerbNotAllowed
from services.gateway.exchange import Header
from services.gateway.routes import Route

DOMAIN = "gateway"
HTTP: dict[StatusCode, int] = {
    StatusCode.INVALID_ARGUMENT: 400,
    StatusCode.FAILED_PRECONDITION: 400,
    StatusCode.OUT_OF_RANGE: 400,
    StatusCode.UNAUTHENTICATED: 401,
    StatusCode.PERMISSION_DENIED: 403,
    StatusCode.NOT_FOUND: 404,
    StatusCode.ALREADY_EXISTS: 409,
    StatusCode.ABORTED: 409,
    StatusCode.RESOURCE_EXHAUSTED: 429,
    StatusCode.CANCELLED: 499,
    StatusCode.INTERNAL: 500,
    StatusCode.UNKNOWN: 500,
    StatusCode.DATA_LOSS: 500,
    StatusCode.UNIMPLEMENTED: 501,
    StatusCode.UNAVAILABLE: 503,
    StatusCode.DEADLINE_EXCEEDED: 504,
}
# What is said where a status comes without details: then it is gRPC's own, whose words name addresses and parts.
WORDS: dict[StatusCode, str] = {
    StatusCode.UNAVAILABLE: "A service that this needs is away; try again.",
    StatusCode.DEADLINE_EXCEEDED: "The call took too long.",
    StatusCode.UNIMPLEMENTED: "The service does not know this method.",
    StatusCode.CANCELLED: "The call was cancelled.",
}
INTERNAL = Status(message="Internal error.")
CODES = {code.value[0]: code for code in StatusCode}
Shown = tuple[int, dict[str, Any], list[Header]]


def of_refusal(error: DomainError) -> Shown:
    """The HTTP status, the JSON and the headers of what the gateway itself refuses."""
    code, special = error.code, error.http_status if isinstance(error, Refusal) else None
    headers: list[Header] = []
    if isinstance(error, VerbNotAllowed):
        headers.append((b"allow", error.metadata["allow"].encode()))
    if isinstance(error, TokenInvalid):
        headers.append((b"www-authenticate", b'Bearer error="invalid_token"'))
    return _shown(code, error.status(DOMAIN), special or HTTP[code], headers)


def of_rpc(error: grpc.aio.AioRpcError, route: Route) -> Shown:
    """The same of what a service refused, its fields named as the caller of this route knows them."""
    code, status = error.code(), _details(error)
    if HTTP.get(code, 500) == HTTPStatus.INTERNAL_SERVER_ERROR:
        return internal()
    if status is None:
        status = Status(message=WORDS.get(code) or error.details() or code.name)
    return _shown(code, status, HTTP[code], [], route)


def internal() -> Shown:
    return _shown(StatusCode.INTERNAL, INTERNAL, 500, [])


def text(shown: dict[str, Any]) -> bytes:
    return orjson.dumps(shown)


def _details(error: grpc.aio.AioRpcError) -> Status | None:
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin" and isinstance(value, bytes):
            try:
                return Status.FromString(value)
            except DecodeError:
                return None
    return None


def _shown(
    code: StatusCode, status: Status, http_status: int, headers: list[Header], route: Route | None = None
) -> Shown:
    headers = list(headers)
    if http_status == HTTPStatus.UNAUTHORIZED and not headers:
        headers.append((b"www-authenticate", b"Bearer"))
    retry_seconds = 1
    details = []
    for packed in status.details:
        if packed.Is(error_details.RetryInfo.DESCRIPTOR):
            delay = error_details.RetryInfo.FromString(packed.value).retry_delay
            retry_seconds = max(math.ceil(delay.ToTimedelta().total_seconds()), 1)
        if (detail := _detail(packed, route)) is not None:
            details.append(detail)
    if http_status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        headers.append((b"retry-after", str(retry_seconds).encode()))
    error = {"code": int(http_status), "status": code.name, "message": status.message, "details": details}
    return int(http_status), {"error": error}, headers


def _detail(packed: Packed, route: Route | None) -> dict[str, Any] | None:
    """None for a kind of detail that is not known here."""
    try:
        detail: dict[str, Any] = json_format.MessageToDict(packed)
    except (TypeError, DecodeError):
        return None
    if route is not None:
        for violation in detail.get("fieldViolations", []):
            violation["field"] = field_name(violation.get("field", ""), route)
        if "field" in (metadata := detail.get("metadata", {})):
            metadata["field"] = field_name(metadata["field"], route)
    return detail


def field_name(path: str, route: Route) -> str:
    """A field of the request (`contact.first_name`) as JSON writes it; where the body is that field, without its name
    in front (`firstName`).
    """
    message: Descriptor | None = route.method.input
    first, _, rest = path.partition(".")
    shown = []
    for part in path.split("."):
        name, bracket, index = part.partition("[")
        field = message.fields_by_name.get(name) if message is not None else None
        shown.append((field.json_name if field else name) + bracket + index)
        message = field.message_type if field is not None and not is_map(field) else None
    return ".".join(shown[1:] if rest and first == route.body else shown)
