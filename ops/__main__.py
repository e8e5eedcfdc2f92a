"""`python -m ops --help`."""

from typing import Annotated, Any

import typer
from pydantic import ValidationError
from typer.core import TyperGroup

from kit.config import MeshSettings
from ops.commands import sending
from ops.commands.batches import batches
from ops.commands.dead_letters import dead_letters
from ops.commands.keys import keys
from ops.commands.ledger import ledger
from ops.commands.merchants import grant, merchants
from ops.commands.restore import restore
from ops.commands.webhooks import webhooks
from ops.session import Mesh, Session


class JsonAnywhere(TyperGroup):
    """`--json` may stand behind the command as well, where everybody types it."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, sorted(args, key=lambda word: word != "--json"))


app = typer.Typer(
    cls=JsonAnywhere,
    name="ops",
    help="Astronote for its operators.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)
app.add_typer(merchants, name="merchants")
app.command()(grant)
app.add_typer(batches, name="batches")
app.add_typer(dead_letters, name="dead-letters")
app.add_typer(webhooks, name="webhooks")
app.command()(sending.unknowns)
app.command()(sending.drain)
app.add_typer(ledger, name="ledger")
app.add_typer(keys, name="keys")
app.add_typer(restore, name="restore")


@app.callback()
def begin(
    context: typer.Context, is_json: Annotated[bool, typer.Option("--json", help="JSON instead of tables.")] = False
) -> None:
    """Settings are those of every service (docs/settings.md): MESH_PRIVATE_KEY, MESH_PUBLIC_KEYS, TLS_FOLDER."""
    if context.obj is None:
        try:
            context.obj = Session(Mesh(MeshSettings()))
        except ValidationError as error:
            missing = ", ".join(str(fault["loc"][0]).upper() for fault in error.errors())
            typer.echo(f"Settings are missing or wrong: {missing}", err=True)
            raise typer.Exit(1) from error
    context.obj.is_json = is_json
    context.call_on_close(context.obj.mesh.close)


if __name__ == "__main__":
    app()
