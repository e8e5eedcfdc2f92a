"""Messages that a service gave up."""

from typing import Annotated, Any

import grpc
import typer
from google.protobuf.message import DecodeError
from rich.text import Text

from astronote.operations.v1 import dead_letters_pb2 as pb
from astronote.operations.v1.dead_letters_pb2_grpc import DeadLettersServiceStub
from ops.options import Limit, Yes
from ops.session import Session, fields, payload, session, words

dead_letters = typer.Typer(help="Messages that a service gave up: look, replay, drop.")
SERVICES = ("contacts", "campaigns", "sender", "wallet")
Service = Annotated[str, typer.Argument(help=", ".join(SERVICES))]
Ids = Annotated[list[int] | None, typer.Argument()]
All = Annotated[bool, typer.Option("--all", help="All of the service's.")]
ALL_MAX = 10_000


@dead_letters.command("list")
def list_letters(
    context: typer.Context,
    service: Annotated[str, typer.Argument(help=f"{', '.join(SERVICES)}; all of them where it is left out.")] = "",
    limit: Limit = 50,
) -> None:
    """Dead letters, newest first."""
    ops = session(context)
    found = {each: _letters(ops, each, limit) for each in ([_known(ops, service)] if service else SERVICES)}
    if ops.is_json:
        ops.answer({each: [fields(letter) for letter in letters] for each, letters in found.items()})
        return
    for each, letters in found.items():
        ops.console.print(Text(each, style="bold"))
        ops.show(letters, ["id", "subject", "create_time", "deliveries", "error"])


@dead_letters.command()
def show(context: typer.Context, service: Service, id: int) -> None:
    """One, and what it says; phones are masked."""
    ops = session(context)
    request = pb.GetDeadLetterRequest(id=id)
    letter = ops.ask(DeadLettersServiceStub, "GetDeadLetter", request, service=_known(ops, service))
    try:
        said = payload(letter.subject, letter.payload)
    except (LookupError, DecodeError):
        ops.fail(f"{letter.subject} can't be read: {letter.error}")
    letter.ClearField("payload")
    ops.answer({**fields(letter), "payload": fields(said)})


@dead_letters.command()
def replay(context: typer.Context, service: Service, ids: Ids = None, everything: All = False) -> None:
    """Handles dead letters now. What fails again stays; then the code is 1."""
    ops = session(context)
    _each(ops, service, _chosen(ops, service, ids, everything), "ReplayDeadLetter", pb.ReplayDeadLetterRequest)


@dead_letters.command()
def drop(context: typer.Context, service: Service, ids: Ids = None, everything: All = False, yes: Yes = False) -> None:
    """Forgets dead letters for good."""
    ops = session(context)
    chosen = _chosen(ops, service, ids, everything)
    if chosen:
        ops.confirm(f"Drop {len(chosen)} of the dead letters of {service} for good?", yes=yes)
    _each(ops, service, chosen, "DropDeadLetter", pb.DropDeadLetterRequest)


def _known(ops: Session, service: str) -> str:
    if service not in SERVICES:
        ops.fail(f"{service} is none of {', '.join(SERVICES)}.")
    return service


def _letters(ops: Session, service: str, limit: int) -> list[Any]:
    request = pb.ListDeadLettersRequest()
    return ops.items(DeadLettersServiceStub, "ListDeadLetters", request, "dead_letters", limit, service=service)


def _chosen(ops: Session, service: str, ids: list[int] | None, everything: bool) -> list[int]:
    _known(ops, service)
    if everything == bool(ids):
        ops.fail("Name ids, or say --all.")
    return ids or [letter.id for letter in _letters(ops, service, ALL_MAX)]


def _each(ops: Session, service: str, ids: list[int], method: str, request: type) -> None:
    """The oldest first. One that fails holds up none of the others."""
    failed = {}
    with ops.progress() as bar:
        for id in bar.track(sorted(ids), description=method):
            try:
                ops.mesh.call(DeadLettersServiceStub, method, request(id=id), service=service)
            except grpc.RpcError as error:
                failed[str(id)] = words(error)
    ops.answer({"done": len(ids) - len(failed), "failed": failed})
    if failed:
        raise typer.Exit(1)
