"""Checks a request against the `google.api.field_behavior` that its proto declares (AIP-203)."""

from collections.abc import Iterator
from functools import cache

from google.api.field_behavior_pb2 import OUTPUT_ONLY, REQUIRED, field_behavior
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from kit.errors import InvalidArgument

# AIP-134: in an update only the fields that the mask names are looked at.
MASK = "update_mask"


class FieldRequired(InvalidArgument):
    """A required field is missing."""


def check(request: Message) -> None:
    """Raises `FieldRequired` for the first missing field; clears what only the server may set."""
    partial = MASK in request.DESCRIPTOR.fields_by_name
    if missing := next(_missing(request, "", partial=partial), None):
        raise FieldRequired(field=missing)


def _missing(message: Message, prefix: str, *, partial: bool) -> Iterator[str]:
    for field, required, output_only, nested in _rules(message.DESCRIPTOR):
        if output_only:
            # Ids that a path fills are output only in a create and a key in an update.
            if not (partial and field.name == "id"):
                message.ClearField(field.name)
            continue
        present = message.HasField(field.name) if field.has_presence else bool(getattr(message, field.name))
        if required and not present and not (partial and prefix):
            yield prefix + field.name
        elif nested and present:
            yield from _missing(getattr(message, field.name), f"{prefix}{field.name}.", partial=partial)


@cache
def _rules(descriptor: Descriptor) -> list[tuple[FieldDescriptor, bool, bool, bool]]:
    """The fields with something to check: (field, required, output only, nested in the same package)."""
    found = []
    for field in descriptor.fields:
        behaviors = field.GetOptions().Extensions[field_behavior]
        nested = (
            field.message_type is not None
            and not field.is_repeated
            and field.message_type.file.package == descriptor.file.package
        )
        if behaviors or nested:
            found.append((field, REQUIRED in behaviors, OUTPUT_ONLY in behaviors, nested))
    return found
