"""Options that several commands have."""

from typing import Annotated

import typer

Limit = Annotated[int, typer.Option(min=1, max=10_000, help="So many at most.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
