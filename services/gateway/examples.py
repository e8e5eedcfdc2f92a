"""Examples for the document, made of the contracts alone.

What `protos/examples.json` says of a message's field (`Contact.phone`) comes first, then what its comment says (such as
`Europe/Athens`), then what that table says of the name, then the type. A text that none of them knows is left out, not
made up; where it is required, a test asks for its example. What a method's answer has of its own stands under its name.
"""

import json
import re
from collections.abc import Set
from importlib.resources import files
from typing import Any

from google.api.field_behavior_pb2 import OUTPUT_ONLY
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from services.gateway.contracts import REQUEST_ID, Method, is_map
from services.gateway.scalars import RANGES
from services.gateway.schemas import WIDE, Comments, behavior

SUCH_AS = re.compile(r"such as `([^`]+)`", re.IGNORECASE)
ID = "0b5e7a52-3d0a-4e0c-9a52-8d4f6f7a1b11"
WELL_KNOWN: dict[str, Any] = {
    "google.protobuf.Timestamp": "2026-03-01T09:30:00Z",
    "google.protobuf.Duration": "1.5s",
    "google.protobuf.FieldMask": "firstName,lastName",
}
# What a caller leaves to the header, to the page before, or to the body.
UNSHOWN = {REQUEST_ID, "page_token", "update_mask"}


class Examples:
    def __init__(self, comments: Comments) -> None:
        found = files("astronote").joinpath("examples.json")
        self._table: dict[str, Any] = json.loads(found.read_text(encoding="utf-8"))
        self._comments = comments

    def request(self, descriptor: Descriptor, without: Set[str] = frozenset()) -> dict[str, Any]:
        """What a caller may send: without what the path fills, and what only the server sets."""
        return self._message(descriptor, UNSHOWN | without, (), is_request=True)

    def answer(self, method: Method) -> Any:
        """As the table says of the method, where that differs from what its message usually holds."""
        found = self._nested(method.output, (), is_request=False)
        own: dict[str, Any] = self._table.get(method.name, {})
        return {name: value for name, value in {**found, **own}.items() if value is not None} if own else found

    def field(self, field: FieldDescriptor, above: tuple[str, ...] = (), *, is_request: bool = True) -> Any:
        """None where it is better left out."""
        above_it = field.containing_type
        own = f"{above_it.name}.{field.name}" if above_it is not None else ""
        if own in self._table:
            return self._table[own]
        if is_map(field):
            return self._table.get(field.name, {})
        if field.message_type is not None:
            value = self._nested(field.message_type, above, is_request=is_request)
        else:
            value = self._leaf(field)
        return [value] if field.is_repeated and value is not None else value

    def _nested(self, descriptor: Descriptor, above: tuple[str, ...], *, is_request: bool) -> Any:
        if descriptor.full_name in WELL_KNOWN:
            return WELL_KNOWN[descriptor.full_name]
        # A message may hold its own kind: once is enough.
        return None if descriptor.full_name in above else self._message(descriptor, set(), above, is_request=is_request)

    def _message(
        self, descriptor: Descriptor, without: Set[str], above: tuple[str, ...], *, is_request: bool
    ) -> dict[str, Any]:
        found = {}
        for field in descriptor.fields:
            is_shown = not (is_request and OUTPUT_ONLY in behavior(field)) and _is_first_choice(field)
            if field.name not in without and is_shown:
                value = self.field(field, (*above, descriptor.full_name), is_request=is_request)
                if value is not None:
                    found[field.json_name] = value
        return found

    def _leaf(self, field: FieldDescriptor) -> Any:
        if said := SUCH_AS.search(self._comments.of(field.full_name)):
            return said[1]
        if field.name in self._table:
            return self._table[field.name]
        if field.enum_type is not None:
            return field.enum_type.values[min(1, len(field.enum_type.values) - 1)].name
        if field.type in RANGES:
            return "1" if RANGES[field.type][1] > WIDE else 1
        if field.name == "id" or field.name.endswith(("_id", "_ids")):
            return ID
        return {FieldDescriptor.TYPE_BOOL: True, FieldDescriptor.TYPE_DOUBLE: 1.5}.get(field.type)


def _is_first_choice(field: FieldDescriptor) -> bool:
    choice = field.containing_oneof
    return choice is None or choice.fields[0].name == field.name
