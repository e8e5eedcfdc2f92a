"""Errors that cross a service boundary.

Raising one is enough: the server turns it into a `google.rpc.Status` with an `ErrorInfo`, and the gateway turns that
into an HTTP answer. The class name is the machine-readable reason (`PhoneTaken` -> `PHONE_TAKEN`), the docstring is
the message, keyword arguments are its metadata. `field` among them names the field of the request that is wrong
(`contact.phone`) and travels as a `BadRequest` violation as well; `retry_seconds` says when to come again, and travels
as a `RetryInfo`, of which the gateway makes a `Retry-After`.

Anything else that is raised is a bug: logged with its traceback, shown to the caller as INTERNAL.
"""

import re

from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc import StatusCode
from grpc.aio import AioRpcError

DETAILS = "grpc-status-details-bin"


class DomainError(Exception):
    """The request cannot be carried out."""

    code = StatusCode.UNKNOWN

    def __init__(self, **metadata: object) -> None:
        super().__init__(type(self).__doc__, metadata)
        self.metadata = {key: str(value) for key, value in metadata.items()}

    @classmethod
    def reason(cls) -> str:
        return re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).upper()

    def status(self, domain: str) -> Status:
        message = (type(self).__doc__ or "").strip()
        status = Status(code=self.code.value[0], message=message)
        info = ErrorInfo(reason=self.reason(), domain=domain, metadata=self.metadata)
        details: list[ErrorInfo | BadRequest | RetryInfo] = [info]
        if field := self.metadata.get("field"):
            violation = BadRequest.FieldViolation(field=field, description=message, reason=self.reason())
            details.append(BadRequest(field_violations=[violation]))
        if retry_seconds := self.metadata.get("retry_seconds"):
            details.append(RetryInfo(retry_delay=Duration(seconds=int(retry_seconds))))
        for detail in details:
            packed = Any()
            packed.Pack(detail)
            status.details.append(packed)
        return status


def reason(error: AioRpcError) -> str:
    """Why another service refused, in its own word; empty where it does not say."""
    trailer = dict(error.trailing_metadata() or ()).get(DETAILS)
    info = ErrorInfo()
    if isinstance(trailer, bytes):
        for detail in Status.FromString(trailer).details:
            if detail.Unpack(info):
                break
    return str(info.reason)


class InvalidArgument(DomainError):
    """The request is malformed."""

    code = StatusCode.INVALID_ARGUMENT


class NotFound(DomainError):
    """There is no such thing."""

    code = StatusCode.NOT_FOUND


class AlreadyExists(DomainError):
    """There is such a thing already."""

    code = StatusCode.ALREADY_EXISTS


class FailedPrecondition(DomainError):
    """The thing is not in a state that allows this."""

    code = StatusCode.FAILED_PRECONDITION


class ResourceExhausted(DomainError):
    """There was too much of this; try again later."""

    code = StatusCode.RESOURCE_EXHAUSTED


class Aborted(DomainError):
    """Something else has to happen first; try again."""

    code = StatusCode.ABORTED


class Unauthenticated(DomainError):
    """The caller did not prove who it is."""

    code = StatusCode.UNAUTHENTICATED


class PermissionDenied(DomainError):
    """The caller may not do this."""

    code = StatusCode.PERMISSION_DENIED


class Unavailable(DomainError):
    """Something that this needs is away; try again."""

    code = StatusCode.UNAVAILABLE
