"""What the gateway itself refuses. `http_status` stands where the code's usual status would say too little."""

from http import HTTPStatus
from typing import ClassVar

from grpc import StatusCode

from kit.errors import (
    DomainError,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
)


class ContractInvalid(Exception):
    """A contract says something that HTTP can't carry; the gateway does not start."""


class Refusal(DomainError):
    """A refusal with an HTTP status of its own."""

    http_status: ClassVar[HTTPStatus | None] = None


class RouteNotFound(NotFound):
    """There is no such endpoint."""


class VerbNotAllowed(Refusal):
    """This endpoint does not know the HTTP method."""

    code, http_status = StatusCode.UNIMPLEMENTED, HTTPStatus.METHOD_NOT_ALLOWED


class PathInvalid(InvalidArgument):
    """The path is not well-formed."""


class RequestMalformed(InvalidArgument):
    """This is no HTTP request."""


class HeadTooLong(Refusal):
    """The head of the request is too long."""

    code, http_status = StatusCode.INVALID_ARGUMENT, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE


class TargetTooLong(Refusal):
    """The address of the request is too long."""

    code, http_status = StatusCode.INVALID_ARGUMENT, HTTPStatus.REQUEST_URI_TOO_LONG


class HostInvalid(InvalidArgument):
    """A request names one host."""


class BodyTooLarge(Refusal):
    """The body is longer than this endpoint takes."""

    code, http_status = StatusCode.INVALID_ARGUMENT, HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class BodyTooSlow(Refusal):
    """The body did not arrive in time."""

    code, http_status = StatusCode.DEADLINE_EXCEEDED, HTTPStatus.REQUEST_TIMEOUT


class ContentTypeUnsupported(Refusal):
    """The body must be JSON, with the content type application/json."""

    code, http_status = StatusCode.INVALID_ARGUMENT, HTTPStatus.UNSUPPORTED_MEDIA_TYPE


class ContentEncodingUnsupported(Refusal):
    """The body can't be taken compressed."""

    code, http_status = StatusCode.INVALID_ARGUMENT, HTTPStatus.UNSUPPORTED_MEDIA_TYPE


class ClientGone(Refusal):
    """The client went away before its request was complete."""

    code = StatusCode.CANCELLED


class JsonInvalid(InvalidArgument):
    """The body is not well-formed JSON."""


class FieldInvalid(InvalidArgument):
    """A field has a value that it can't hold."""

    def inside(self, name: str) -> None:
        """Puts the name of what holds the field in front of its path."""
        path = self.metadata.get("field", "")
        self.metadata["field"] = name if not path else f"{name}{path}" if path[0] == "[" else f"{name}.{path}"


class FieldUnknown(FieldInvalid):
    """There is no such field."""


class FieldRepeated(FieldInvalid):
    """A field is given twice, under both of its names."""


class ChoiceRepeated(FieldInvalid):
    """Of these fields only one may be set."""


class NestingTooDeep(FieldInvalid):
    """The body is nested too deeply."""


class ParameterUnknown(InvalidArgument):
    """There is no such query parameter."""


class ParameterRepeated(InvalidArgument):
    """A query parameter is given more than once."""


class QueryInvalid(InvalidArgument):
    """The query is not well-formed."""


class IdempotencyKeyInvalid(InvalidArgument):
    """An Idempotency-Key is 1 to 200 visible characters."""


class IdempotencyKeyMismatch(InvalidArgument):
    """The Idempotency-Key header and the request id differ."""


class TokenMissing(Unauthenticated):
    """An access token or an API key is needed: `Authorization: Bearer …`."""


class TokenInvalid(Unauthenticated):
    """The access token or API key is not valid, or no longer."""


class OperatorOnly(PermissionDenied):
    """Only an operator may do this."""


class MerchantOnly(PermissionDenied):
    """An operator's token opens nothing of a merchant's."""


class ScopeMissing(PermissionDenied):
    """The API key may not do this: it lacks the scope."""


class KeysUnavailable(Unavailable):
    """Access tokens and API keys can't be verified now; try again."""


class Draining(Unavailable):
    """The gateway is going away; connect again."""


class RateLimited(ResourceExhausted):
    """Too many requests; try again later."""


class TooManyStreams(ResourceExhausted):
    """Too many streams are open at once; end one first."""


class Overloaded(Unavailable):
    """The service behind this has too much in hand; try again."""


class TooManyConnections(Unavailable):
    """Too many connections are open; try again."""


class TooMuchInHand(Unavailable):
    """The gateway holds too much in memory; try again."""
