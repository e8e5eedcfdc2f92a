"""The OpenAPI 3.1 document, made from the same contracts as the routes."""

import json
from collections.abc import Iterable, Sequence

from google.api.field_behavior_pb2 import REQUIRED
from google.protobuf.descriptor import ServiceDescriptor

from astronote.options.v1.options_pb2 import RateLimit
from services.gateway import rates
from services.gateway.binding import Binding
from services.gateway.contracts import REQUEST_ID, UPDATE_MASK, Method, cookies
from services.gateway.examples import Examples
from services.gateway.parameters import Parameter, shown_name
from services.gateway.problem import HTTP
from services.gateway.refusals import Refusals
from services.gateway.routes import VARIABLE, Route
from services.gateway.schemas import PATCH, Comments, Schema, Schemas, behavior
from services.gateway.settings import Settings

INTRODUCTION = """Text-message marketing for shops: contacts in, a campaign out, every text accounted for.

JSON names are lowerCamelCase; times are RFC 3339; ids are texts. Lists come in pages: `pageSize`, `pageToken`,
`nextPageToken`. An unknown field or parameter is an error; a field that is null counts as left out. Answers may gain
fields. Every error has the one shape `Error`; the fields that it names are those of the body, of the path or of the
query as the caller wrote them (`phone`, `audience.all`).
`Idempotency-Key` makes a repeat safe wherever it is offered: the same key and body give the same answer."""
ERROR: Schema = {
    "type": "object",
    "description": "What every refusal looks like, whoever refuses.",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "status", "message", "details"],
            "properties": {
                "code": {"type": "integer", "description": "The HTTP status."},
                "status": {"type": "string", "enum": [code.name for code in HTTP], "description": "gRPC's code."},
                "message": {"type": "string"},
                "details": {
                    "type": "array",
                    "description": "An `ErrorInfo` (`reason`, `domain`, `metadata`) first; a `BadRequest` with"
                    " `fieldViolations` where a field is wrong.",
                    "items": {"type": "object", "properties": {"@type": {"type": "string"}}},
                },
            },
        }
    },
}
SECURITY: Schema = {
    "accessToken": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "The `accessToken` of a login, good for its `expiresIn` seconds; `Refresh` trades the refresh"
        " token for the next.",
    },
    "apiKey": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "ar_live_…",
        "description": "For a merchant's own programs: `Authorization: Bearer ar_live_…`, made by `CreateApiKey`. The"
        " scope READ opens what changes nothing, WRITE all else.",
    },
    "operatorToken": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "The `accessToken` of `LoginOperator`. It opens `/v1/admin` and nothing of a merchant's.",
    },
    "webhookSecret": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Webhook-Secret",
        "description": "A provider's callback: the secret that it was registered with. Two are good while one is"
        " being replaced.",
    },
    "webhookSignature": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Webhook-Signature",
        "description": "A provider's callback: HMAC-SHA256 of the raw body, where the provider signs.",
    },
    "stripeSignature": {
        "type": "apiKey",
        "in": "header",
        "name": "Stripe-Signature",
        "description": "Stripe's callback: its signature over the raw body, good for some minutes.",
    },
}
OPENED_BY = {
    "merchant": ("accessToken", "apiKey"),
    "operator": ("operatorToken",),
    "webhook": ("webhookSecret", "webhookSignature", "stripeSignature"),
}
EVENTS = "One event for each of these: `data: {json}`. A failure on the way is an `error` event with an `Error`."


def document(routes: Sequence[Route], settings: Settings) -> Schema:
    """The whole of it, ready for JSON."""
    comments = Comments()
    operations = Operations(Schemas(comments), comments, settings)
    paths: dict[str, Schema] = {}
    for route in routes:
        binding = Binding(route)
        paths.setdefault(_path(binding), {})[route.verb.lower()] = operations.of(binding)
    services = {route.method.descriptor.containing_service: None for route in routes}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Astronote Retail", "version": "1", "description": INTRODUCTION},
        "servers": [{"url": "/"}],
        "tags": [{"name": tag(service), "description": comments.of(service.full_name)} for service in services],
        "paths": paths,
        "components": {
            "schemas": {**dict(sorted(operations.schemas.components.items())), "Error": ERROR},
            "responses": dict(sorted(operations.refusals.components.items())),
            "examples": dict(sorted(operations.refusals.examples.items())),
            "securitySchemes": SECURITY,
        },
    }


def tag(service: ServiceDescriptor) -> str:
    return str(service.name).removesuffix("Service")


class Operations:
    """Routes as OpenAPI's operations."""

    def __init__(self, schemas: Schemas, comments: Comments, settings: Settings) -> None:
        self.schemas, self.refusals = schemas, Refusals()
        self._comments, self._settings = comments, settings
        self._examples = Examples(comments)
        self._ids: set[str] = set()

    def of(self, binding: Binding) -> Schema:
        method = binding.method
        words = self._comments.of(method.descriptor.full_name)
        operation: Schema = {
            "operationId": self._id(method.name),
            "tags": [tag(method.descriptor.containing_service)],
            "summary": " ".join(words.split("\n\n")[0].split()).partition(". ")[0].rstrip("."),
            "description": words,
            "security": self._security(binding),
            "x-access": method.role,
            "x-rate-limit": [_rate(limit, self._settings.rate_limit_factor) for limit in rates.of(method)],
            "x-timeout-seconds": method.limits.timeout_seconds or self._settings.timeout_seconds,
            "parameters": list(self._parameters(binding)),
            "responses": self._responses(binding),
        }
        if binding.body is not None:
            operation["requestBody"] = self._body(binding)
            operation["x-body-bytes-max"] = method.limits.body_bytes_max or self._settings.body_bytes_max
        return operation

    def _security(self, binding: Binding) -> list[Schema]:
        """Any one of these opens it."""
        schemes = OPENED_BY.get(binding.method.role, ())
        no_program = self.refusals.takes_no_program(binding)
        return [{scheme: []} for scheme in schemes if not (no_program and scheme == "apiKey")]

    def _id(self, name: str) -> str:
        """A second binding of a method is told apart by a number."""
        number = 1
        while (found := name if number == 1 else f"{name}{number}") in self._ids:
            number += 1
        self._ids.add(found)
        return found

    def _parameters(self, binding: Binding) -> Iterable[Schema]:
        for leaf, _ in binding.variables:
            found = {"name": _variable(binding, leaf.name), "in": "path", "required": True, "schema": self._text(leaf)}
            yield found | self._example(leaf)
        for leaf in binding.parameters:
            name = shown_name(binding.method.input, leaf.names)
            found = {"name": name, "in": "query", "schema": self._text(leaf)}
            if words := self._comments.of(leaf.field.full_name):
                found["description"] = words
            if leaf.name == UPDATE_MASK:
                found["description"] = "The fields to change; those that the body names where there is no mask."
            if REQUIRED in behavior(leaf.field):
                found |= {"required": True, **self._example(leaf)}
            yield found
        if binding.method.takes_request_id:
            schema = {"type": "string", "minLength": 1, "maxLength": 200}
            words = "Fills `requestId`: a repeat with the same key does nothing twice."
            yield {"name": "Idempotency-Key", "in": "header", "schema": schema, "description": words}
        if binding.method.names_events:
            words = "Fills `lastEventId`: the stream goes on where it broke off."
            yield {"name": "Last-Event-ID", "in": "header", "schema": {"type": "string"}, "description": words}
        for field, cookie in binding.cookies:
            words = f"Fills `{field}` where the body leaves it empty."
            yield {"name": cookie.name, "in": "cookie", "schema": {"type": "string"}, "description": words}

    def _example(self, leaf: Parameter) -> Schema:
        value = self._examples.field(leaf.field)
        return {} if value is None else {"example": value}

    def _text(self, leaf: Parameter) -> Schema:
        schema = dict(self.schemas.field(leaf.field))
        schema.pop("description", None)
        schema.pop("readOnly", None)
        return schema

    def _body(self, binding: Binding) -> Schema:
        assert binding.body is not None
        if binding.takes_file:
            file: Schema = {"schema": {"type": "string", "format": "binary"}}
            return {"content": {"*/*": file}, "required": True}
        without = {leaf.name for leaf, _ in binding.variables}
        if binding.fills_mask:
            schema, required = self.schemas.message(binding.body, PATCH), False
        else:
            optional = {REQUEST_ID, *(field for field, _ in binding.cookies)}
            schema = self.schemas.body(binding.body, without=without, optional=optional)
            required = any(
                REQUIRED in behavior(field) and field.name not in without | optional for field in binding.body.fields
            )
        content = {"schema": schema, "example": self._examples.request(binding.body, without)}
        return {"content": {"application/json": content}, "required": required}

    def _responses(self, binding: Binding) -> Schema:
        method = binding.method
        success: Schema = {"description": "Done."}
        if method.redirects:
            success["headers"] = {"Location": {"schema": {"type": "string", "format": "uri"}}}
        elif method.answers_file:
            # What a file holds is its own matter: CSV, a picture, JSON.
            success["content"] = (
                {"text/html": {"schema": {"type": "string"}}} if method.answers_page else {"*/*": {"schema": {}}}
            )
        elif method.answers_stream:
            success["content"] = {"text/event-stream": self._events(method)}
            success["description"] = EVENTS
        else:
            content = {"schema": self.schemas.message(method.output), "example": self._examples.answer(method)}
            success["content"] = {"application/json": content}
        if bound := cookies(method.output):
            names = ", ".join(f"`{cookie.name}`" for _, cookie in bound)
            schema = {"type": "string", "description": f"Sets {names}: HttpOnly, Secure, SameSite=Strict."}
            success["headers"] = {"Set-Cookie": {"schema": schema}}
        return {str(method.success_status): success, **self.refusals.responses(binding)}

    def _events(self, method: Method) -> Schema:
        """A stream is a text to OpenAPI 3.1; what each event holds stands beside it."""
        example = f"data: {json.dumps(self._examples.answer(method), ensure_ascii=False)}\n\n"
        return {"schema": {"type": "string"}, "x-event-schema": self.schemas.message(method.output), "example": example}


def _rate(limit: RateLimit, factor: float) -> Schema:
    """So many at once, and again after that time."""
    by = RateLimit.By.Name(limit.by).lower()
    return {"by": by, "count": max(int(limit.count * factor), 1), "perSeconds": limit.per_seconds}


def _path(binding: Binding) -> str:
    return VARIABLE.sub(lambda found: f"{{{_variable(binding, found[1])}}}", binding.route.template)


def _variable(binding: Binding, name: str) -> str:
    """A path's variable, named like the field that it fills."""
    return binding.shown(name.split("."))
