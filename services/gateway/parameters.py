"""Text to fields: the variables of a path and the parameters of a query."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from services.gateway.contracts import HTTP_BODY, is_map
from services.gateway.decoder import single
from services.gateway.errors import FieldInvalid

NESTING_MAX = 4
# Messages whose JSON is one text.
TEXTS = {f"google.protobuf.{name}" for name in ("Timestamp", "Duration", "FieldMask")}


@dataclass(frozen=True, eq=False)
class Parameter:
    """A leaf of the request message: where it lies, and how its text is read."""

    names: tuple[str, ...]
    field: FieldDescriptor
    convert: Callable[[str], Any]

    @property
    def name(self) -> str:
        """The dotted path as the proto writes it."""
        return ".".join(self.names)

    def put(self, message: Message, shown: str, text: str) -> None:
        """Sets the field, or adds to it where it is repeated. Refuses `FieldInvalid`, with `shown` as its name."""
        try:
            value = self.convert(text)
        except FieldInvalid as error:
            error.inside(shown)
            raise
        for name in self.names[:-1]:
            message = getattr(message, name)
        leaf = self.names[-1]
        if self.field.is_repeated:
            getattr(message, leaf).append(value)
        elif self.field.message_type is not None:
            getattr(message, leaf).CopyFrom(value)
        else:
            setattr(message, leaf, value)


def leaves(message: Descriptor, above: tuple[str, ...] = ()) -> Iterator[Parameter]:
    """Every field that a text can fill; nested ones by their path."""
    for field in message.fields:
        names = (*above, field.name)
        nested = field.message_type
        if nested is None or nested.full_name in TEXTS:
            yield Parameter(names, field, _reader(field))
        elif not (field.is_repeated or is_map(field) or nested.full_name == HTTP_BODY) and len(names) < NESTING_MAX:
            yield from leaves(nested, names)


def shown_name(message: Descriptor, names: tuple[str, ...]) -> str:
    """The dotted path as JSON writes it."""
    shown, above = [], message
    for name in names:
        field = above.fields_by_name[name]
        shown.append(str(field.json_name))
        above = field.message_type or above
    return ".".join(shown)


def _reader(field: FieldDescriptor) -> Callable[[str], Any]:
    decode = single(field)
    if field.type == FieldDescriptor.TYPE_BOOL:
        return lambda text: decode({"true": True, "false": False}.get(text, text), 0)
    return lambda text: decode(text, 0)
