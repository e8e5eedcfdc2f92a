"""The contracts that are served: every service of every `astronote.<service>.v1` package that is installed.

A package's second segment names the service of the mesh that answers for it.
"""

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from pathlib import Path

from google.api.httpbody_pb2 import HttpBody
from google.protobuf.descriptor import Descriptor, FieldDescriptor, FileDescriptor, MethodDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

import astronote
from astronote.options.v1 import options_pb2 as options
from kit import access

HTTP_BODY = HttpBody.DESCRIPTOR.full_name
REQUEST_ID = "request_id"
UPDATE_MASK = "update_mask"
# Of the message of a stream, and of the request that goes on after it.
EVENT_ID, LAST_EVENT_ID = "event_id", "last_event_id"


def files() -> list[FileDescriptor]:
    """The files that declare RPCs for outside, in the order of their names."""
    # A set, since a folder may stand on Python's path twice, and be two portions of the namespace then.
    names = {
        ".".join(path.relative_to(root).with_suffix("").parts)
        for root in astronote.__path__
        for path in Path(root).rglob("*_pb2.py")
    }
    found = [importlib.import_module(f"astronote.{name}").DESCRIPTOR for name in sorted(names)]
    return [file for file in found if any(method.role for method in methods(file))]


def methods(file: FileDescriptor) -> Iterator["Method"]:
    for service in file.services_by_name.values():
        yield from (Method(descriptor) for descriptor in service.methods)


@dataclass(frozen=True, eq=False)
class Method:
    """An RPC and what its options say."""

    descriptor: MethodDescriptor

    @property
    def name(self) -> str:
        return str(self.descriptor.name)

    @property
    def service(self) -> str:
        """The service of the mesh that answers."""
        return mesh_service(self.descriptor.containing_service.file)

    @property
    def path(self) -> str:
        """What gRPC calls it."""
        return f"/{self.descriptor.containing_service.full_name}/{self.descriptor.name}"

    @cached_property
    def role(self) -> str:
        """`public`, `merchant`, `webhook` or `operator`; empty where only services may call."""
        return access.rule(self.descriptor).role

    @cached_property
    def changes_nothing(self) -> bool:
        return bool(self.descriptor.GetOptions().idempotency_level == MethodOptions.NO_SIDE_EFFECTS)

    @cached_property
    def input(self) -> Descriptor:
        return self.descriptor.input_type

    @cached_property
    def output(self) -> Descriptor:
        return self.descriptor.output_type

    @cached_property
    def request(self) -> type[Message]:
        return GetMessageClass(self.input)

    @cached_property
    def answer(self) -> type[Message]:
        return GetMessageClass(self.output)

    @cached_property
    def takes_stream(self) -> bool:
        return bool(self.descriptor.client_streaming)

    @cached_property
    def answers_stream(self) -> bool:
        return bool(self.descriptor.server_streaming)

    @cached_property
    def answers_file(self) -> bool:
        return bool(self.output.full_name == HTTP_BODY)

    @cached_property
    def answers_page(self) -> bool:
        """Whether people open it in a browser: then what refuses it is a page as well."""
        return self.role == "public" and (self.answers_file or self.redirects) and not self.answers_stream

    @cached_property
    def redirects(self) -> bool:
        """Whether its answer leads on to the answer's field `location`."""
        return self.success_status == HTTPStatus.FOUND

    @cached_property
    def limits(self) -> options.Limits:
        return self.descriptor.GetOptions().Extensions[options.limits]

    @cached_property
    def success_status(self) -> int:
        return int(self.descriptor.GetOptions().Extensions[options.success_status]) or 200

    @cached_property
    def takes_request_id(self) -> bool:
        return REQUEST_ID in self.input.fields_by_name

    @cached_property
    def names_events(self) -> bool:
        """Whether a stream that broke off goes on where it was."""
        return EVENT_ID in self.output.fields_by_name and LAST_EVENT_ID in self.input.fields_by_name


def mesh_service(file: FileDescriptor) -> str:
    return str(file.package.split(".")[1])


def cookies(message: Descriptor) -> list[tuple[str, options.Cookie]]:
    """The fields of a message that are bound to a cookie."""
    marked = ((field.name, field.GetOptions()) for field in message.fields)
    return [(name, found.Extensions[options.cookie]) for name, found in marked if found.HasExtension(options.cookie)]


def is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def entry(field: FieldDescriptor) -> tuple[FieldDescriptor, FieldDescriptor]:
    """The key and the value of a map."""
    assert field.message_type is not None
    key, value = field.message_type.fields
    return key, value
