"""A run of the command line: the services it asks, and how it shows what they answer."""

import importlib
import re
import sys
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NoReturn

import grpc
import orjson
import typer
from google.protobuf import json_format
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from kit.channel import MESSAGE_BYTES_MAX, REQUEST_ID_HEADER
from kit.config import MeshSettings
from kit.identity import HEADER
from kit.log import masked

NAME = "ops"
TIMEOUT_SECONDS = 30.0
PAGE_SIZE = 200
PIPED_WIDTH = 400
TIME = re.compile(r"^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(\.\d+)?Z$")
OPTIONS = [("grpc.max_receive_message_length", MESSAGE_BYTES_MAX)]


class Mesh:
    """Calls services in the name of `ops`, one after the other."""

    def __init__(self, settings: MeshSettings) -> None:
        self._settings = settings
        self._identity = settings.identity(NAME)
        self._channels: dict[str, grpc.Channel] = {}
        #: Under which the services log what this run asked for.
        self.request_id = f"ops-{uuid.uuid4().hex}"

    def call(
        self, stub: type, method: str, request: Any, *, service: str = "", seconds: float = TIMEOUT_SECONDS
    ) -> Any:
        """Asks the service whose contract the request is of, unless another is named. Raises `grpc.RpcError`."""
        service = service or owner(request)
        metadata = ((HEADER, self._identity.assertion(service)), (REQUEST_ID_HEADER, self.request_id))
        return getattr(stub(self.channel(service)), method)(request, metadata=metadata, timeout=seconds)

    def channel(self, service: str) -> grpc.Channel:
        if service not in self._channels:
            address, certificates = self._settings.address_of(service), self._settings.certificates()
            self._channels[service] = (
                grpc.secure_channel(address, certificates.client(), OPTIONS)
                if certificates
                else grpc.insecure_channel(address, OPTIONS)
            )
        return self._channels[service]

    def close(self) -> None:
        while self._channels:
            self._channels.popitem()[1].close()


@dataclass
class Session:
    """What every command is handed. With `is_json` standard output is JSON and nothing else."""

    mesh: Mesh
    is_json: bool = False
    # Where nobody watches there is no edge to fold at.
    console: Console = field(default_factory=lambda: Console(width=None if sys.stdout.isatty() else PIPED_WIDTH))
    errors: Console = field(default_factory=lambda: Console(stderr=True))

    def ask(self, stub: type, method: str, request: Any, **options: Any) -> Any:
        """The answer; a refusal ends the run with who refused, its words, and code 1."""
        try:
            return self.mesh.call(stub, method, request, **options)
        except grpc.RpcError as error:
            self.fail(f"{options.get('service') or owner(request)}: {words(error)}")

    def items(self, stub: type, method: str, request: Any, name: str, limit: int, **options: Any) -> list[Any]:
        """Of as many pages as it takes."""
        return list(islice(self._pages(stub, method, request, name, **options), limit))

    def _pages(self, stub: type, method: str, request: Any, name: str, **options: Any) -> Iterator[Any]:
        request.page_size = PAGE_SIZE
        while True:
            answer = self.ask(stub, method, request, **options)
            yield from getattr(answer, name)
            if not answer.next_page_token:
                return
            request.page_token = answer.next_page_token

    def confirm(self, question: str, *, yes: bool) -> None:
        """Ends the run where the operator says no, or nobody is there to say anything."""
        if yes:
            return
        typer.confirm(question, abort=True, err=True)

    def progress(self) -> Progress:
        """A bar on standard error; nothing where nobody watches, or JSON is wanted."""
        return Progress(console=self.errors, transient=True, disable=self.is_json or not self.errors.is_terminal)

    def show(self, messages: Iterable[Message], columns: Sequence[str]) -> None:
        """A table of these fields, or all fields as JSON."""
        if self.is_json:
            self._write([fields(message) for message in messages])
            return
        table = Table(box=None, header_style="bold")
        for column in columns:
            # An id is there to be copied; a time may be broken between its day and its hour.
            name, wide = column.replace("_", " "), len("2026-05-01") if column.endswith("_time") else 0
            least = max(wide, *map(len, name.split()))
            table.add_column(name, overflow="fold", no_wrap=column in ("id", "kid"), min_width=least)
        for message in messages:
            shown = fields(message)
            table.add_row(*(Text(_readable(shown.get(_camel(column), ""))) for column in columns))
        self.console.print(table if table.row_count else "nothing")

    def tell(self, message: Message) -> None:
        """One message: as JSON, or as lines."""
        self.answer(fields(message))

    def answer(self, content: dict[str, Any]) -> None:
        if self.is_json:
            self._write(content)
            return
        for name, value in content.items():
            self.console.print(Text(f"{name}: {_readable(value)}"))

    def fail(self, text: str, code: int = 1) -> NoReturn:
        self.errors.print(Text(text, style="red"))
        raise typer.Exit(code)

    def _write(self, content: Any) -> None:
        sys.stdout.write(masked(orjson.dumps(content, option=orjson.OPT_INDENT_2).decode()) + "\n")


def session(context: typer.Context) -> Session:
    found: Session = context.obj
    return found


def payload(subject: str, content: bytes) -> Message:
    """The message of a dead letter: `event.<full name>`, or `work.<full name>.<lane>`."""
    kind, _, name = subject.partition(".")
    package, _, message = (name.rpartition(".")[0] if kind == "work" else name).rpartition(".")
    for module in ("events_pb2", "batches_pb2"):
        try:
            found = getattr(importlib.import_module(f"{package}.{module}"), message, None)
        except ModuleNotFoundError:
            continue
        if found is not None:
            decoded: Message = found.FromString(content)
            return decoded
    raise LookupError(subject)


def owner(request: Message) -> str:
    """The service whose contract a request is of."""
    return str(request.DESCRIPTOR.file.package.split(".")[1])


def fields(message: Message) -> dict[str, Any]:
    """As the API's JSON has them, in the order of the contract."""
    found = json_format.MessageToDict(message, always_print_fields_with_no_presence=True)
    return {field.json_name: found[field.json_name] for field in message.DESCRIPTOR.fields if field.json_name in found}


def _readable(value: Any) -> str:
    """Phones masked, times to the second."""
    if not isinstance(value, str):
        return masked(orjson.dumps(value).decode())
    return TIME.sub(r"\1 \2", masked(value))


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def words(error: grpc.RpcError) -> str:
    """`REASON: message (metadata)`, or what gRPC says."""
    assert isinstance(error, grpc.Call)
    code, details = error.code(), error.details()
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            for detail in Status.FromString(value).details:
                info = ErrorInfo()
                if detail.Unpack(info):
                    metadata = ", ".join(f"{name}={text}" for name, text in info.metadata.items())
                    return f"{info.reason}: {details}{f' ({metadata})' if metadata else ''}"
    return f"{code.name}: {details}"
