"""JSON Schemas of the contracts' messages, as OpenAPI 3.1 wants them."""

import json
from importlib.resources import files
from typing import Any

from google.api.field_behavior_pb2 import OUTPUT_ONLY, REQUIRED, field_behavior
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor

from services.gateway.contracts import entry, is_map
from services.gateway.scalars import INTEGER, RANGES

Schema = dict[str, Any]
_F = FieldDescriptor
WIDE = 2**53
# The shapes of a message: an answer may grow; an input may hold nothing else; of a patch nothing is required.
ANSWER, INPUT, PATCH = "", ".Input", ".Patch"
WELL_KNOWN: dict[str, Schema] = {
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Duration": {"type": "string", "pattern": "^-?[0-9]+(\\.[0-9]+)?s$", "examples": ["1.5s"]},
    "google.protobuf.FieldMask": {"type": "string", "examples": ["firstName,lastName"]},
    "google.protobuf.Struct": {"type": "object"},
    "google.protobuf.ListValue": {"type": "array"},
    "google.protobuf.Value": {},
    "google.protobuf.Any": {"type": "object", "properties": {"@type": {"type": "string"}}},
}
SCALARS: dict[int, Schema] = {
    _F.TYPE_STRING: {"type": "string"},
    _F.TYPE_BOOL: {"type": "boolean"},
    _F.TYPE_BYTES: {"type": "string", "contentEncoding": "base64"},
    _F.TYPE_DOUBLE: {"type": "number", "format": "double"},
    _F.TYPE_FLOAT: {"type": "number", "format": "float"},
}


class Comments:
    """What the protos say in words, by full name."""

    def __init__(self) -> None:
        found = files("astronote").joinpath("comments.json")
        self._words: dict[str, str] = json.loads(found.read_text(encoding="utf-8"))

    def of(self, full_name: str) -> str:
        return self._words.get(full_name, "")


class Schemas:
    """The components that a document refers to: each message and enum once, when it is first asked for."""

    def __init__(self, comments: Comments) -> None:
        self.components: dict[str, Schema] = {}
        self._comments = comments

    def message(self, descriptor: Descriptor, shape: str = ANSWER) -> Schema:
        """A reference to the message in one of its shapes."""
        if known := WELL_KNOWN.get(descriptor.full_name):
            return known
        if descriptor.file.package == "google.protobuf" and descriptor.name.endswith("Value"):
            return self.single(descriptor.fields_by_name["value"])
        name = short_name(descriptor.full_name) + shape
        if name not in self.components:
            # Known before its fields are, so that a message may hold its own kind.
            component = self.components[name] = {"type": "object"}
            component |= self._object(descriptor, shape)
        return {"$ref": f"#/components/schemas/{name}"}

    def body(self, descriptor: Descriptor, *, without: set[str], optional: set[str]) -> Schema:
        """The message as a body: without the fields that the path fills, and with those optional that something else
        may fill.
        """
        if not (without | optional) & set(descriptor.fields_by_name):
            return self.message(descriptor, INPUT)
        found = self._object(descriptor, INPUT)
        for field in descriptor.fields:
            if field.name in without:
                del found["properties"][field.json_name]
            if field.name in without | optional and field.json_name in found.get("required", []):
                found["required"].remove(field.json_name)
        return {"type": "object", **found}

    def _object(self, descriptor: Descriptor, shape: str) -> Schema:
        found: Schema = {"properties": {field.json_name: self.field(field, shape) for field in descriptor.fields}}
        if shape != ANSWER:
            found["additionalProperties"] = False
        required = [field.json_name for field in descriptor.fields if REQUIRED in behavior(field)]
        if required and shape != PATCH:
            found["required"] = required
        words = self._comments.of(descriptor.full_name)
        choices = [oneof for oneof in descriptor.oneofs if len(oneof.fields) > 1]
        for oneof in choices:
            words += f"\n\nOne of: {', '.join(f'`{field.json_name}`' for field in oneof.fields)}."
        return found | ({"description": words.strip()} if words else {})

    def field(self, field: FieldDescriptor, shape: str = ANSWER) -> Schema:
        """The schema of a field, with what its proto says of it."""
        if is_map(field):
            found: Schema = {"type": "object", "additionalProperties": self.single(entry(field)[1], shape)}
        elif field.is_repeated:
            found = {"type": "array", "items": self.single(field, shape)}
        else:
            found = dict(self.single(field, shape))
        if words := self._comments.of(field.full_name):
            found["description"] = words
        if OUTPUT_ONLY in behavior(field):
            found["readOnly"] = True
        return found

    def single(self, field: FieldDescriptor, shape: str = ANSWER) -> Schema:
        """One value of the field, also where it is repeated."""
        if field.message_type is not None:
            return self.message(field.message_type, shape)
        if field.enum_type is not None:
            return self._enum(field.enum_type)
        return SCALARS.get(field.type) or _integer(field)

    def _enum(self, enum: EnumDescriptor) -> Schema:
        name = short_name(enum.full_name)
        if name not in self.components:
            values = [value.name for value in enum.values]
            said = {value: self._comments.of(f"{enum.full_name}.{value}") for value in values}
            lines = [self._comments.of(enum.full_name)]
            lines += [f"- `{value}`: {words}" for value, words in said.items() if words]
            self.components[name] = {"type": "string", "enum": values}
            if words := "\n".join(line for line in lines if line):
                self.components[name]["description"] = words
        return {"$ref": f"#/components/schemas/{name}"}


def short_name(full_name: str) -> str:
    """`astronote.contacts.v1.Contact.Gender` is `contacts.Contact.Gender`."""
    first, *rest = full_name.split(".")
    return ".".join([rest[0], *rest[2:]]) if first == "astronote" else full_name


def behavior(field: FieldDescriptor) -> list[int]:
    return list(field.GetOptions().Extensions[field_behavior])


def _integer(field: FieldDescriptor) -> Schema:
    """A number too wide for JavaScript is a text."""
    least, most = RANGES[field.type]
    if most > WIDE:
        return {"type": "string", "pattern": f"^{INTEGER.pattern}$", "format": "int64" if least else "uint64"}
    return {"type": "integer", "format": "int32" if least else "uint32", "minimum": least, "maximum": most}
