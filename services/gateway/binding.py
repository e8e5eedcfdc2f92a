"""One route's request: path, query, headers, cookies and body, put together as the message of its method."""

import re
from collections.abc import Callable, Sequence
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qsl

from google.api.field_behavior_pb2 import OUTPUT_ONLY, field_behavior
from google.api.httpbody_pb2 import HttpBody
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from services.gateway.contracts import HTTP_BODY, LAST_EVENT_ID, REQUEST_ID, UPDATE_MASK, cookies
from services.gateway.decoder import decoder, parse
from services.gateway.errors import (
    ContentTypeUnsupported,
    ContractInvalid,
    IdempotencyKeyInvalid,
    IdempotencyKeyMismatch,
    ParameterRepeated,
    ParameterUnknown,
    QueryInvalid,
)
from services.gateway.exchange import Exchange
from services.gateway.parameters import Parameter, leaves, shown_name
from services.gateway.routes import Route

PARAMETERS_MAX = 1000
EVENT_ID_LENGTH_MAX = 200
IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,200}")
JSON = re.compile(r"application/([a-z0-9.+-]+\+)?json *(; *charset=\"?utf-8\"? *)?", re.IGNORECASE)


class Binding:
    """Compiled once a route. Where the body is a field of the request, callers see that field's fields as their own."""

    def __init__(self, route: Route) -> None:
        self.route, self.method = route, route.method
        request = self.method.input
        by_name = {leaf.name: leaf for leaf in leaves(request)}
        if unknown := [name for name in route.variables if name not in by_name]:
            raise ContractInvalid(f"{self.method.path}: the path names {unknown}, which the request has not")
        self.variables = [(by_name[name], self.shown(by_name[name].names)) for name in route.variables]
        self.parameters = [] if route.body == "*" else [leaf for leaf in by_name.values() if self._is_parameter(leaf)]
        self._by_text = {
            text: (leaf, shown)
            for leaf in self.parameters
            for shown in [shown_name(request, leaf.names)]
            for text in (leaf.name, shown)
        }
        self.body: Descriptor | None = self._body(request)
        self.takes_file = self.body is not None and self.body.full_name == HTTP_BODY
        self.fills_mask = (
            route.verb == "PATCH" and route.body not in ("", "*") and UPDATE_MASK in request.fields_by_name
        )
        self.cookies = cookies(request)
        self._decode = decoder(self.body) if self.body is not None and not self.takes_file else None

    def shown(self, names: Sequence[str]) -> str:
        """The name of a field as the caller knows it."""
        shown = shown_name(self.method.input, tuple(names))
        return shown.partition(".")[2] if len(names) > 1 and names[0] == self.route.body else shown

    def _is_parameter(self, leaf: Parameter) -> bool:
        return leaf.name not in self.route.variables and leaf.names[0] != self.route.body

    def _body(self, request: Descriptor) -> Descriptor | None:
        if not self.route.body or self.route.body == "*":
            return request if self.route.body else None
        field = request.fields_by_name.get(self.route.body)
        if field is None or field.message_type is None or field.is_repeated:
            raise ContractInvalid(f"{self.method.path}: the body {self.route.body} is no message of the request")
        return field.message_type

    def request(self, exchange: Exchange, values: list[str], body: bytes) -> Message:
        """The message to send. Refuses what is malformed, with the field or parameter named."""
        message = self._from_body(exchange, body)
        if exchange.query:
            self._put_query(message, exchange.query)
        for (leaf, shown), value in zip(self.variables, values, strict=True):
            leaf.put(message, shown, value)
        if self.method.takes_request_id:
            _put_request_id(message, exchange.headers.get("idempotency-key"))
        if self.method.names_events and (last := exchange.headers.get("last-event-id")):
            setattr(message, LAST_EVENT_ID, last[:EVENT_ID_LENGTH_MAX])
        if self.cookies and exchange.takes_cookies and "cookie" in exchange.headers:
            self._put_cookies(message, exchange.headers["cookie"])
        return message

    def _from_body(self, exchange: Exchange, body: bytes) -> Message:
        if self.body is None:
            return self.method.request()
        if self.takes_file:
            return self._with_file(HttpBody(content_type=exchange.headers.get("content-type", "")[:200], data=body))
        assert self._decode is not None
        if not body:
            value: Any = {}
        elif JSON.fullmatch(exchange.headers.get("content-type", "")):
            value = parse(body)
        else:
            raise ContentTypeUnsupported(content_type=exchange.headers.get("content-type", "")[:100])
        decoded: Message = self._decode(value, 0)
        if self.route.body == "*":
            return decoded
        message = self.method.request(**{self.route.body: decoded})
        if self.fills_mask:
            message.update_mask.paths.extend(self._named(value))  # type: ignore[attr-defined]
        return message

    def _with_file(self, file: HttpBody) -> Message:
        return file if self.route.body == "*" else self.method.request(**{self.route.body: file})

    def _named(self, value: dict[str, Any]) -> list[str]:
        """The fields that a PATCH is about: those of its body, but not what only the server may set."""
        assert self.body is not None
        return [
            field.name
            for field in self.body.fields
            if (field.json_name in value or field.name in value)
            and OUTPUT_ONLY not in field.GetOptions().Extensions[field_behavior]
        ]

    def _put_query(self, message: Message, query: bytes) -> None:
        try:
            pairs = parse_qsl(
                query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=PARAMETERS_MAX
            )
        except ValueError as error:
            raise QueryInvalid from error
        seen: set[Parameter] = set()
        for text, value in pairs:
            leaf, shown = self._by_text.get(text, (None, ""))
            if leaf is None and self.method.answers_page:
                # What apps add to the links that people pass on, such as `fbclid`.
                continue
            if leaf is None:
                raise ParameterUnknown(field=text[:100])
            if leaf in seen and not leaf.field.is_repeated:
                raise ParameterRepeated(field=shown)
            if leaf.name == UPDATE_MASK and leaf not in seen:
                message.ClearField(UPDATE_MASK)
            seen.add(leaf)
            leaf.put(message, shown, value)

    def _put_cookies(self, message: Message, header: str) -> None:
        try:
            jar = SimpleCookie(header)
        except CookieError:
            return
        for field, cookie in self.cookies:
            if cookie.name in jar and not getattr(message, field):
                setattr(message, field, jar[cookie.name].value[:4096])

    def first_of_file(self, exchange: Exchange, values: list[str]) -> Callable[[bytes], Message]:
        """What makes the first message of a file's stream, of its first piece."""
        return lambda piece: self.request(exchange, values, piece)

    def more_of_file(self, piece: bytes) -> Message:
        return self._with_file(HttpBody(data=piece))


def _put_request_id(message: Message, key: str | None) -> None:
    if key is None:
        return
    if not IDEMPOTENCY_KEY.fullmatch(key):
        raise IdempotencyKeyInvalid(field="Idempotency-Key")
    given = getattr(message, REQUEST_ID)
    if given and given != key:
        raise IdempotencyKeyMismatch(field="requestId")
    setattr(message, REQUEST_ID, key)
