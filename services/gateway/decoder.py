"""JSON values to messages, by functions compiled once for each descriptor (protobuf's JSON mapping, read strictly).

Names are lowerCamelCase or as the proto writes them; null is absent. Every refusal names the field by its path.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from services.gateway.contracts import entry, is_map
from services.gateway.errors import (
    ChoiceRepeated,
    FieldInvalid,
    FieldRepeated,
    FieldUnknown,
    JsonInvalid,
    NestingTooDeep,
)
from services.gateway.scalars import NULLABLE, scalar, well_known

DEPTH_MAX = 32
# A JSON value and how deep it stands.
Decode = Callable[[Any, int], Any]
_decoders: dict[str, Decode] = {}


def parse(text: bytes) -> Any:
    """Refuses `JsonInvalid`: no JSON, no UTF-8, NaN, an infinite number, a lone surrogate, absurd nesting."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise JsonInvalid(reason=error.msg, line=error.lineno, column=error.colno) from error


def decoder(descriptor: Descriptor) -> Decode:
    """What turns a JSON value into a message of the type. Refuses `FieldInvalid` and its kinds."""
    return _decoders.get(descriptor.full_name) or well_known(descriptor) or _compile(descriptor)


def _compile(descriptor: Descriptor) -> Decode:
    fields: dict[str, tuple[str, Decode]] = {}
    choices = {field.name: choice for field in descriptor.fields if (choice := _choice(field))}
    nullable = {field.name for field in descriptor.fields if _takes_null(field)}
    # Known before its fields are compiled, so that a message may hold its own kind.
    decode = _decoders[descriptor.full_name] = _message(GetMessageClass(descriptor), fields, choices, nullable)
    for field in descriptor.fields:
        fields[field.name] = fields[field.json_name] = (field.name, _value(field))
    return decode


def _message(
    message: type[Message], fields: Mapping[str, tuple[str, Decode]], choices: Mapping[str, str], nullable: set[str]
) -> Decode:

    def decode(value: Any, depth: int) -> Message:
        if type(value) is not dict:
            raise FieldInvalid(field="", expected="an object")
        if depth > DEPTH_MAX:
            raise NestingTooDeep(field="", depth_max=DEPTH_MAX)
        arguments: dict[str, Any] = {}
        for key, item in value.items():
            if key not in fields:
                raise FieldUnknown(field=key[:100])
            name, convert = fields[key]
            if item is None and name not in nullable:
                continue
            if name in arguments:
                raise FieldRepeated(field=key)
            try:
                arguments[name] = convert(item, depth + 1)
            except FieldInvalid as error:
                error.inside(key)
                raise
        if choices:
            _check_choices(arguments, choices)
        return message(**arguments)

    return decode


def _check_choices(names: Iterable[str], choices: Mapping[str, str]) -> None:
    chosen: dict[str, str] = {}
    for name in names:
        if (choice := choices.get(name)) and (other := chosen.setdefault(choice, name)) != name:
            raise ChoiceRepeated(field=name, other=other)


def _takes_null(field: FieldDescriptor) -> bool:
    kind = field.message_type or field.enum_type
    return kind is not None and kind.full_name in NULLABLE and not field.is_repeated


def _choice(field: FieldDescriptor) -> str:
    """The oneof that the field is in; `optional` makes one of its own, which is none."""
    choice = field.containing_oneof
    return "" if choice is None or choice.name == f"_{field.name}" else str(choice.name)


def _value(field: FieldDescriptor) -> Decode:
    if is_map(field):
        return _map(field)
    return _list(single(field)) if field.is_repeated else single(field)


def single(field: FieldDescriptor) -> Decode:
    """One value of the field, also where the field is repeated."""
    return decoder(field.message_type) if field.message_type is not None else scalar(field)


def _list(convert: Decode) -> Decode:
    def decode(value: Any, depth: int) -> list[Any]:
        if type(value) is not list:
            raise FieldInvalid(field="", expected="a list")
        found: list[Any] = []
        try:
            for item in value:
                found.append(convert(item, depth))  # noqa: PERF401 (its length is the place of a wrong item)
        except FieldInvalid as error:
            error.inside(f"[{len(found)}]")
            raise
        return found

    return decode


def _map(field: FieldDescriptor) -> Decode:
    key_field, value_field = entry(field)
    convert, convert_key = single(value_field), scalar(key_field)
    is_bool = key_field.type == FieldDescriptor.TYPE_BOOL

    def decode(value: Any, depth: int) -> dict[Any, Any]:
        if type(value) is not dict:
            raise FieldInvalid(field="", expected="an object")
        found = {}
        for key, item in value.items():
            try:
                found[convert_key({"true": True, "false": False}.get(key, key) if is_bool else key, depth)] = convert(
                    item, depth
                )
            except FieldInvalid as error:
                error.inside(key[:100])
                raise
        return found

    return decode
