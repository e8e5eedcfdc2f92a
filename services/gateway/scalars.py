"""JSON values to what a single field holds: numbers in their range, texts, enums, and Google's well-known types."""

import binascii
import math
import re
from base64 import b64decode
from collections.abc import Callable
from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.timestamp_pb2 import Timestamp

from services.gateway.errors import FieldInvalid

Decode = Callable[[Any, int], Any]
INTEGER = re.compile(r"-?[0-9]{1,20}")
NUMBER = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?")
PATH = re.compile(r"\*|[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*")
FLOAT_MAX = 3.4028235677973366e38
# Types for which null is a value.
NULLABLE = {"google.protobuf.Value", "google.protobuf.NullValue"}
_F = FieldDescriptor
RANGES = {
    **dict.fromkeys((_F.TYPE_INT32, _F.TYPE_SINT32, _F.TYPE_SFIXED32), (-(2**31), 2**31 - 1)),
    **dict.fromkeys((_F.TYPE_INT64, _F.TYPE_SINT64, _F.TYPE_SFIXED64), (-(2**63), 2**63 - 1)),
    **dict.fromkeys((_F.TYPE_UINT32, _F.TYPE_FIXED32), (0, 2**32 - 1)),
    **dict.fromkeys((_F.TYPE_UINT64, _F.TYPE_FIXED64), (0, 2**64 - 1)),
}


def scalar(field: FieldDescriptor) -> Decode:
    """The decoder of one value of a field that holds no message. Refuses `FieldInvalid`."""
    if field.enum_type is not None:
        return _enum(field.enum_type)
    if field.type in RANGES:
        return _integer(*RANGES[field.type])
    return {_F.TYPE_STRING: _text, _F.TYPE_BOOL: _bool, _F.TYPE_BYTES: _bytes, _F.TYPE_FLOAT: _float}.get(
        field.type, _double
    )


def well_known(descriptor: Descriptor) -> Decode | None:
    """The decoder of one of Google's own types, whose JSON is not its fields."""
    if special := _SPECIAL.get(descriptor.full_name):
        return special
    if descriptor.file.package != "google.protobuf" or descriptor.full_name == "google.protobuf.Empty":
        return None
    message = GetMessageClass(descriptor)

    def decode(value: Any, _depth: int) -> Message:
        try:
            return json_format.ParseDict(value, message())
        except (json_format.ParseError, ValueError, TypeError, AttributeError) as error:
            raise FieldInvalid(field="", expected=f"a {descriptor.name}") from error

    return decode


def _text(value: Any, _depth: int) -> str:
    if type(value) is not str:
        raise FieldInvalid(field="", expected="a string")
    # PostgreSQL has no place for it, and no text needs it.
    if "\0" in value:
        raise FieldInvalid(field="", expected="a string without the character U+0000")
    return value


def _bool(value: Any, _depth: int) -> bool:
    if type(value) is not bool:
        raise FieldInvalid(field="", expected="true or false")
    return value


def _integer(least: int, most: int) -> Decode:
    expected = f"a whole number from {least} to {most}"

    def decode(value: Any, _depth: int) -> int:
        kind = type(value)
        if (kind is str and INTEGER.fullmatch(value)) or (kind is float and value.is_integer()):
            value = int(value)
        elif kind is not int:
            raise FieldInvalid(field="", expected=expected)
        if not least <= value <= most:
            raise FieldInvalid(field="", expected=expected)
        return int(value)

    return decode


def _double(value: Any, _depth: int) -> float:
    if type(value) is str and NUMBER.fullmatch(value):
        value = float(value)
    # A bool is an int to Python, and NaN or Infinity is no number that anybody means.
    if type(value) not in (int, float) or not math.isfinite(value):
        raise FieldInvalid(field="", expected="a number")
    return float(value)


def _float(value: Any, depth: int) -> float:
    number = _double(value, depth)
    if abs(number) >= FLOAT_MAX:
        raise FieldInvalid(field="", expected="a number of at most 3.4e38")
    return number


def _bytes(value: Any, _depth: int) -> bytes:
    try:
        text = value.rstrip("=").replace("-", "+").replace("_", "/").encode("ascii")
        return b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except (AttributeError, UnicodeEncodeError, binascii.Error) as error:
        raise FieldInvalid(field="", expected="bytes in base64") from error


def _enum(enum: EnumDescriptor) -> Decode:
    """By name only: a number would be a second way to say the same, and says nothing to whoever reads it."""
    numbers = {name: value.number for name, value in enum.values_by_name.items()}
    expected = f"one of {', '.join(numbers)}"

    def decode(value: Any, _depth: int) -> int:
        if type(value) is str and value in numbers:
            return numbers[value]
        raise FieldInvalid(field="", expected=expected)

    return decode


def _parsed(message: type[Timestamp] | type[Duration], expected: str) -> Decode:
    def decode(value: Any, _depth: int) -> Message:
        found = message()
        try:
            found.FromJsonString(value)
        except (ValueError, TypeError, AttributeError, OverflowError) as error:
            raise FieldInvalid(field="", expected=expected) from error
        return found

    return decode


def _mask(value: Any, _depth: int) -> FieldMask:
    """Paths with commas between them, in camelCase or snake_case."""
    paths = value.split(",") if type(value) is str and value else []
    if type(value) is not str or not all(PATH.fullmatch(path) for path in paths):
        raise FieldInvalid(field="", expected="names of fields, with commas between them")
    return FieldMask(paths=[re.sub(r"([A-Z])", lambda found: f"_{found[1].lower()}", path) for path in paths])


_SPECIAL: dict[str, Decode] = {
    "google.protobuf.Timestamp": _parsed(Timestamp, "a time such as 2026-01-31T10:00:00Z"),
    "google.protobuf.Duration": _parsed(Duration, "a duration such as 1.5s"),
    "google.protobuf.FieldMask": _mask,
}
