"""What each route refuses, as OpenAPI's responses: by the gateway, by every service, and by the RPC itself."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.resources import files

from google.api.field_behavior_pb2 import REQUIRED
from grpc import StatusCode

from kit.errors import DomainError
from services.gateway import errors, rates
from services.gateway.binding import Binding
from services.gateway.problem import DOMAIN, HTTP
from services.gateway.schemas import Schema, behavior

LOGIN_NEEDED = "LOGIN_NEEDED"
# What any service may say stands under this name.
KIT = "kit"
RETRY_AFTER = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 0}}}
HEADERS: dict[int, Schema] = {
    401: {"WWW-Authenticate": {"schema": {"type": "string"}}},
    405: {"Allow": {"description": "What the path does know.", "schema": {"type": "string"}}},
    429: RETRY_AFTER,
    503: RETRY_AFTER,
}
# What comes under no reason of its own.
PLAIN = {
    404: "There is no such endpoint or thing.",
    500: "A fault of ours; the request id finds it in our logs.",
    503: "A service is away.",
    504: "The call took longer than it may.",
}


@dataclass(frozen=True)
class Refusal:
    """One reason, under the service that says it."""

    domain: str
    reason: str
    code: StatusCode
    message: str
    http_status: int

    @property
    def name(self) -> str:
        return f"{self.domain}.{self.reason}"

    def example(self) -> Schema:
        info = {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": self.reason,
            "domain": self.domain,
            "metadata": {},
        }
        shown = {"code": self.http_status, "status": self.code.name, "message": self.message, "details": [info]}
        return {"summary": self.message, "value": {"error": shown}}


class Refusals:
    """`examples` and `components` collect what the responses refer to; equal responses are one."""

    def __init__(self) -> None:
        found = json.loads(files("astronote").joinpath("refusals.json").read_text(encoding="utf-8"))
        self._methods: dict[str, list[str]] = found["methods"]
        self._reasons: dict[str, dict[str, str]] = found["reasons"]
        self.examples: dict[str, Schema] = {}
        self.components: dict[str, Schema] = {}

    def of(self, binding: Binding) -> dict[int, list[Refusal]]:
        """By HTTP status; none under those that come without a reason."""
        by_status: dict[int, list[Refusal]] = {500: [], 503: [], 504: []}
        for refusal in dict.fromkeys((*self._named(binding), *self._common(binding))):
            by_status.setdefault(refusal.http_status, []).append(refusal)
        return dict(sorted(by_status.items()))

    def responses(self, binding: Binding) -> dict[str, Schema]:
        return {
            str(status): self._shared(status, found, binding.method.answers_page)
            for status, found in self.of(binding).items()
        }

    def takes_no_program(self, binding: Binding) -> bool:
        """Whether an API key opens nothing here."""
        return any(refusal.reason == LOGIN_NEEDED for refusal in self._named(binding))

    def _named(self, binding: Binding) -> Iterator[Refusal]:
        for name in self._methods.get(binding.method.descriptor.full_name, ()):
            yield self._found(name, binding)

    def _found(self, name: str, binding: Binding) -> Refusal:
        domain, _, reason = name.partition(".")
        code = StatusCode[self._reasons[name]["code"]]
        domain = binding.method.service if domain == KIT else domain
        return Refusal(domain, reason, code, self._reasons[name]["message"], HTTP[code])

    def _common(self, binding: Binding) -> Iterator[Refusal]:
        """What the way to any method refuses, by what its contract asks for."""
        yield from map(_refusal, _of_the_gateway(binding))
        if any(REQUIRED in behavior(field) for field in binding.method.input.fields):
            yield self._found("kit.FIELD_REQUIRED", binding)
        if "page_size" in binding.method.input.fields_by_name:
            yield self._found("kit.PAGE_SIZE_INVALID", binding)
        if binding.method.takes_request_id:
            yield self._found("kit.IDEMPOTENCY_KEY_REUSED", binding)
        yield self._found("kit.DATABASE_UNAVAILABLE", binding)
        yield self._found("kit.CONTENDED", binding)
        yield self._found("kit.SERVICE_UNAVAILABLE", binding)

    def _shared(self, status: int, refusals: list[Refusal], is_page: bool) -> Schema:
        response, number = self._response(status, refusals), 1
        if is_page:
            response["content"]["text/html"] = {"schema": {"type": "string"}}
        while self.components.setdefault(name := f"{status}.{number}", response) != response:
            number += 1
        return {"$ref": f"#/components/responses/{name}"}

    def _response(self, status: int, refusals: list[Refusal]) -> Schema:
        words = [PLAIN[status]] if status in PLAIN and not refusals else []
        words += [f"- `{each.reason}`: {each.message}" for each in refusals]
        content: Schema = {"schema": {"$ref": "#/components/schemas/Error"}}
        if refusals:
            content["examples"] = {each.reason: {"$ref": f"#/components/examples/{each.name}"} for each in refusals}
            self.examples |= {each.name: each.example() for each in refusals}
        found: Schema = {"description": "\n".join(words), "content": {"application/json": content}}
        return found | ({"headers": HEADERS[status]} if status in HEADERS else {})


def _of_the_gateway(binding: Binding) -> Iterable[type[DomainError]]:
    method = binding.method
    if rates.of(method):
        yield errors.RateLimited
    if method.takes_stream or method.answers_stream:
        yield errors.TooManyStreams
    yield errors.Overloaded
    if method.role in ("merchant", "operator"):
        yield from (errors.TokenMissing, errors.TokenInvalid, errors.KeysUnavailable)
        yield from (errors.MerchantOnly, errors.ScopeMissing) if method.role == "merchant" else (errors.OperatorOnly,)
    if binding.variables:
        yield from (errors.PathInvalid, errors.RouteNotFound)
    yield from (errors.ParameterUnknown, errors.ParameterRepeated, errors.QueryInvalid)
    if binding.parameters or binding.variables or not binding.takes_file:
        yield errors.FieldInvalid
    yield errors.VerbNotAllowed
    if binding.body is not None:
        yield from (errors.BodyTooLarge, errors.BodyTooSlow, errors.TooMuchInHand, errors.ContentEncodingUnsupported)
        if not binding.takes_file:
            yield from (errors.ContentTypeUnsupported, errors.JsonInvalid, errors.FieldUnknown)
            yield from (errors.FieldRepeated, errors.ChoiceRepeated, errors.NestingTooDeep)
    if method.takes_request_id:
        yield from (errors.IdempotencyKeyInvalid, errors.IdempotencyKeyMismatch)


def _refusal(error: type[DomainError]) -> Refusal:
    special = error.http_status if issubclass(error, errors.Refusal) else None
    return Refusal(DOMAIN, error.reason(), error.code, (error.__doc__ or "").strip(), int(special or HTTP[error.code]))
