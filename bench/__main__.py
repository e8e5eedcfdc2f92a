"""`make bench`: all measurements, or the named ones; `make bench-compare A=… B=…` holds two runs side by side,
`make bench-publish RUN=…` puts one into docs/performance.md."""

import argparse
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from bench import book, campaign, dashboard, figures, publish, reports, rest, scale, singles
from bench.arena import Arena
from bench.figures import Figure
from deploy.local.members import MEMBERS

MEASUREMENTS: dict[str, Callable[[Arena, int], Iterator[Figure]]] = {
    "rest": lambda arena, _: rest.run(arena),
    "book": book.run,
    "campaign": campaign.run,
    "dashboard": lambda arena, _: dashboard.run(arena),
    "reports": lambda arena, _: reports.run(arena),
    "singles": lambda arena, _: singles.run(arena),
    "scale": lambda arena, _: scale.run(arena),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", choices=[*MEASUREMENTS], default=[*MEASUREMENTS])
    parser.add_argument("--size", type=int, default=100_000, help="of the largest campaign, and of the import")
    parser.add_argument("--out", type=Path, default=Path(".data/bench") / f"{datetime.now(UTC):%Y-%m-%dT%H%M%S}.json")
    parser.add_argument("--compare", nargs=2, type=Path, metavar=("A", "B"))
    parser.add_argument("--publish", type=Path, metavar="RUN")
    arguments = parser.parse_args()
    console = Console(highlight=False)
    if arguments.publish:
        publish.publish(arguments.publish)
        return
    if arguments.compare:
        before, after = (figures.load(path) for path in arguments.compare)
        console.print(figures.comparison(before, after))
        return
    found: list[Figure] = []
    for name in arguments.only:
        # A mesh each, so that nothing is measured on what another left behind.
        os.sync()
        members = scale.members() if name == "scale" else MEMBERS
        with Arena.mesh_of_a_run(members) as mesh, console.status(f"{name} on {os.cpu_count()} cores"):
            arena = Arena(mesh)
            for figure in MEASUREMENTS[name](arena, arguments.size):
                found.append(figure)
                console.print(figures.line(figure))
        # What was measured is kept, whatever becomes of the rest.
        figures.save(found, arguments.out)
    console.print(figures.table(found, f"{os.cpu_count()} cores, fsync on"))
    console.print(f"kept in {arguments.out}")


if __name__ == "__main__":
    main()
