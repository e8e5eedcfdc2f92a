"""Messages to JSON values, by functions compiled once for each descriptor (protobuf's JSON mapping).

A field without presence is always there (zero, empty text, empty list); one with presence only when it is set.
"""

import math
from base64 import b64encode
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from functools import lru_cache
from operator import attrgetter
from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.internal.type_checkers import ToShortestFloat
from google.protobuf.message import Message

from services.gateway.contracts import entry, is_map

Encode = Callable[[Any], Any]
EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 (UTC, and faster without saying so at every call)
WIDE = {
    FieldDescriptor.TYPE_INT64,
    FieldDescriptor.TYPE_UINT64,
    FieldDescriptor.TYPE_SINT64,
    FieldDescriptor.TYPE_FIXED64,
    FieldDescriptor.TYPE_SFIXED64,
}
_encoders: dict[str, Encode] = {}


def encoder(descriptor: Descriptor) -> Encode:
    """What turns a message of the type into a value for orjson."""
    if known := WELL_KNOWN.get(descriptor.full_name):
        return known
    if descriptor.file.package == "google.protobuf":
        return json_format.MessageToDict
    return _encoders.get(descriptor.full_name) or _compile(descriptor)


def _compile(descriptor: Descriptor) -> Encode:
    plain = [field for field in descriptor.fields if not field.has_presence]
    keys = [field.json_name for field in plain]
    values = _getter([field.name for field in plain])
    converted: list[tuple[str, Encode]] = []
    present: list[tuple[str, str, Encode]] = []

    def encode(message: Message) -> dict[str, Any]:
        found = dict(zip(keys, values(message), strict=True))
        for key, convert in converted:
            found[key] = convert(found[key])
        for name, key, convert in present:
            if message.HasField(name):
                found[key] = convert(getattr(message, name))
        return found

    # Known before its fields are compiled, so that a message may hold its own kind.
    _encoders[descriptor.full_name] = encode
    converted += [(field.json_name, convert) for field in plain if (convert := _value(field))]
    present += [
        (field.name, field.json_name, _single(field) or _same) for field in descriptor.fields if field.has_presence
    ]
    return encode


def _getter(names: list[str]) -> Callable[[Message], Iterable[Any]]:
    if len(names) > 1:
        return attrgetter(*names)
    return lambda message: [getattr(message, name) for name in names]


def _value(field: FieldDescriptor) -> Encode | None:
    """None where the value is JSON as it is."""
    if is_map(field):
        return _map(field)
    single = _single(field)
    if not field.is_repeated:
        return single
    # A slice of a repeated field is a list, and the fastest way to one.
    return (lambda items: [single(item) for item in items]) if single else (lambda items: items[:])


def _map(field: FieldDescriptor) -> Encode:
    key_field, value_field = entry(field)
    value = _single(value_field) or _same
    if key_field.type == FieldDescriptor.TYPE_BOOL:
        return lambda items: {str(key).lower(): value(item) for key, item in items.items()}
    return lambda items: {str(key): value(item) for key, item in items.items()} if items else {}


def _single(field: FieldDescriptor) -> Encode | None:
    if field.message_type is not None:
        return encoder(field.message_type)
    if field.enum_type is not None:
        return _enum(field.enum_type)
    if field.type in WIDE:
        return str
    return OTHERS.get(field.type)


class Names(dict[int, str]):
    def __missing__(self, number: int) -> int:
        return number


def _enum(enum: EnumDescriptor) -> Encode:
    """By name; a number that this contract does not know yet stays a number."""
    if enum.full_name == "google.protobuf.NullValue":
        return lambda _: None
    return Names({number: value.name for number, value in enum.values_by_number.items()}).__getitem__


def _same(value: Any) -> Any:
    return value


def _bytes(value: bytes) -> str:
    return b64encode(value).decode("ascii")


def _float(value: float) -> Any:
    return ToShortestFloat(value) if math.isfinite(value) else _double(value)


def _double(value: float) -> Any:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _timestamp(message: Any) -> str:
    nanos = message.nanos
    return f"{_second(message.seconds)}{_fraction(nanos) if nanos else ''}Z"


@lru_cache(maxsize=4096)
def _second(seconds: int) -> str:
    """A resource's times, and those of a page, mostly fall into a few seconds."""
    return (EPOCH + timedelta(seconds=seconds)).isoformat()


def _duration(message: Any) -> str:
    seconds, nanos = message.seconds, message.nanos
    sign = "-" if seconds < 0 or nanos < 0 else ""
    return f"{sign}{abs(seconds)}{_fraction(abs(nanos))}s"


def _fraction(nanos: int) -> str:
    """None, three, six or nine digits."""
    if nanos == 0:
        return ""
    if nanos % 1_000_000 == 0:
        return f".{nanos // 1_000_000:03d}"
    return f".{nanos // 1000:06d}" if nanos % 1000 == 0 else f".{nanos:09d}"


def _nothing(_: Message) -> dict[str, Any]:
    return {}


OTHERS: dict[int, Encode] = {
    FieldDescriptor.TYPE_BYTES: _bytes,
    FieldDescriptor.TYPE_FLOAT: _float,
    FieldDescriptor.TYPE_DOUBLE: _double,
}
WELL_KNOWN: dict[str, Encode] = {
    "google.protobuf.Timestamp": _timestamp,
    "google.protobuf.Duration": _duration,
    "google.protobuf.Empty": _nothing,
    **{f"google.protobuf.{name}Value": attrgetter("value") for name in ("String", "Bool", "Int32", "UInt32")},
}
