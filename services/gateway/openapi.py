"""The OpenAPI 3.1 document, made from the same contracts as the routes."""

from collections.abc import Iterable, Sequence

from google.api.field_behavior_pb2 import REQUIRED
from google.protobuf.descriptor import ServiceDescriptor

from services.gateway.binding import Binding
from services.gateway.contracts import REQUEST_ID, UPDATE_MASK, cookies
from services.gateway.parameters import Parameter, shown_name
from services.gateway.problem import HTTP
from services.gateway.routes import VARIABLE, Route
from services.gateway.schemas import Comments, Schema, Schemas, behavior
from services.gateway.settings import Settings

INTRODUCTION = """Text-message marketing for shops: contacts in, a campaign out, every text accounted for.

JSON names are lowerCamelCase; times are RFC 3339; ids are texts. Lists come in pages: `pageSize`, `pageToken`,
`nextPageToken`. An unknown field or parameter is an error. Every error has the one shape `Error`; the fields that it
names are those of the body, of the path or of the query as the caller wrote them (`phone`, `audience.all`).
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
REFUSALS = {
    "400": "Malformed, or not possible in this state.",
    "401": "No valid access token.",
    "403": "Not allowed.",
    "404": "No such thing.",
    "409": "In conflict with what is there.",
    "413": "The body is too long.",
    "415": "The body is not JSON.",
    "429": "Too many requests.",
    "503": "A service is away; try again.",
    "default": "Any other refusal, in the same shape.",
}
BEARER = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
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
            "responses": {
                status: {"description": words, "content": {"application/json": {"schema": _ref("schemas", "Error")}}}
                for status, words in REFUSALS.items()
            },
            "securitySchemes": {"accessToken": BEARER},
        },
    }


def tag(service: ServiceDescriptor) -> str:
    return str(service.name).removesuffix("Service")


class Operations:
    """Routes as OpenAPI's operations."""

    def __init__(self, schemas: Schemas, comments: Comments, settings: Settings) -> None:
        self.schemas = schemas
        self._comments, self._settings = comments, settings
        self._ids: set[str] = set()

    def of(self, binding: Binding) -> Schema:
        method = binding.method
        words = self._comments.of(method.descriptor.full_name)
        operation: Schema = {
            "operationId": self._id(method.name),
            "tags": [tag(method.descriptor.containing_service)],
            "summary": " ".join(words.split("\n\n")[0].split()).partition(". ")[0].rstrip("."),
            "description": words,
            "security": [{"accessToken": []}] if method.role in ("merchant", "operator") else [],
            "x-access": method.role,
            "x-timeout-seconds": method.limits.timeout_seconds or self._settings.timeout_seconds,
            "parameters": list(self._parameters(binding)),
            "responses": self._responses(binding),
        }
        if binding.body is not None:
            operation["requestBody"] = self._body(binding)
            operation["x-body-bytes-max"] = method.limits.body_bytes_max or self._settings.body_bytes_max
        return operation

    def _id(self, name: str) -> str:
        """A second binding of a method is told apart by a number."""
        number = 1
        while (found := name if number == 1 else f"{name}{number}") in self._ids:
            number += 1
        self._ids.add(found)
        return found

    def _parameters(self, binding: Binding) -> Iterable[Schema]:
        for leaf, _ in binding.variables:
            name = _variable(binding, leaf.name)
            yield {"name": name, "in": "path", "required": True, "schema": self._text(leaf)}
        for leaf in binding.parameters:
            name = shown_name(binding.method.input, leaf.names)
            found: Schema = {"name": name, "in": "query", "schema": self._text(leaf)}
            if words := self._comments.of(leaf.field.full_name):
                found["description"] = words
            if leaf.name == UPDATE_MASK:
                found["description"] = "The fields to change; those that the body names where there is no mask."
            if REQUIRED in behavior(leaf.field):
                found["required"] = True
            yield found
        if binding.method.takes_request_id:
            schema = {"type": "string", "minLength": 1, "maxLength": 200}
            words = "Fills `requestId`: a repeat with the same key does nothing twice."
            yield {"name": "Idempotency-Key", "in": "header", "schema": schema, "description": words}
        for field, cookie in binding.cookies:
            words = f"Fills `{field}` where the body leaves it empty."
            yield {"name": cookie.name, "in": "cookie", "schema": {"type": "string"}, "description": words}

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
        if binding.fills_mask:
            schema, required = self.schemas.message(binding.body, partial=True), True
        else:
            without = {leaf.name for leaf, _ in binding.variables}
            optional = {REQUEST_ID, *(field for field, _ in binding.cookies)}
            schema = self.schemas.body(binding.body, without=without, optional=optional)
            required = any(
                REQUIRED in behavior(field) and field.name not in without | optional for field in binding.body.fields
            )
        return {"content": {"application/json": {"schema": schema}}, "required": required}

    def _responses(self, binding: Binding) -> Schema:
        method = binding.method
        success: Schema = {"description": "Done."}
        if method.answers_file:
            success["content"] = {"*/*": {"schema": {"type": "string", "format": "binary"}}}
        elif method.answers_stream:
            success["content"] = {"text/event-stream": {"schema": self.schemas.message(method.output)}}
            success["description"] = EVENTS
        else:
            success["content"] = {"application/json": {"schema": self.schemas.message(method.output)}}
        if bound := cookies(method.output):
            names = ", ".join(f"`{cookie.name}`" for _, cookie in bound)
            schema = {"type": "string", "description": f"Sets {names}: HttpOnly, Secure, SameSite=Strict."}
            success["headers"] = {"Set-Cookie": {"schema": schema}}
        refused = {status: _ref("responses", status) for status in self._refusals(binding)}
        return {str(method.success_status): success, **refused, "default": _ref("responses", "default")}

    def _refusals(self, binding: Binding) -> Iterable[str]:
        """What the gateway may answer by itself; what the service refuses stands in the description."""
        yield "400"
        if binding.method.role in ("merchant", "operator"):
            yield "401"
        if binding.method.role == "operator":
            yield "403"
        if binding.variables:
            yield "404"
        if binding.body is not None:
            yield "413"
        if binding.body is not None and not binding.takes_file:
            yield "415"
        yield "503"


def _path(binding: Binding) -> str:
    return VARIABLE.sub(lambda found: f"{{{_variable(binding, found[1])}}}", binding.route.template)


def _variable(binding: Binding, name: str) -> str:
    """A path's variable, named like the field that it fills."""
    return binding.shown(name.split("."))


def _ref(kind: str, name: str) -> Schema:
    return {"$ref": f"#/components/{kind}/{name}"}
