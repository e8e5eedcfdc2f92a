"""The keys that sign access tokens."""

from typing import Annotated

import typer

from astronote.accounts.v1.operations_pb2 import ListSigningKeysRequest, RotateSigningKeysRequest
from astronote.accounts.v1.operations_pb2_grpc import AccountOperationsServiceStub
from ops.options import Yes
from ops.session import session

keys = typer.Typer(help="The keys that sign access tokens.")
COLUMNS = ["kid", "state", "create_time", "active_time", "expire_time"]


@keys.command("list")
def list_keys(context: typer.Context) -> None:
    """Keys, newest first."""
    ops = session(context)
    ops.show(ops.ask(AccountOperationsServiceStub, "ListSigningKeys", ListSigningKeysRequest()).signing_keys, COLUMNS)


@keys.command()
def rotate(
    context: typer.Context,
    lost: Annotated[bool, typer.Option("--lost", help="Somebody has the active key: refuse what it signed.")] = False,
    yes: Yes = False,
) -> None:
    """Lets the next key sign from now on."""
    ops = session(context)
    question = "Refuse every access token that is out, and let" if lost else "Let"
    ops.confirm(f"{question} the next key sign?", yes=yes)
    answer = ops.ask(AccountOperationsServiceStub, "RotateSigningKeys", RotateSigningKeysRequest(lost=lost))
    ops.show(answer.signing_keys, COLUMNS)
