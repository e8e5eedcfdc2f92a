"""`make crash`: the whole matrix, on several meshes at once, with a table at the end.

`--only TEXT` (more than once: any of them) runs what has the text in its name, `--list` only says what there is.
"""

import argparse
import contextlib
import sys
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from queue import Empty, SimpleQueue

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from tests.crash.arena import Arena, Verdict
from tests.crash.runs import OUTCOMES, QUICK, TOO_DEAR, Run, matrix, product

console = Console(soft_wrap=True)


def main() -> int:
    options = _options()
    everything = QUICK if options.quick else product() if options.full else matrix()
    runs = [run for run in everything if _chosen(run, options.only)]
    if options.list:
        console.print("\n".join(run.name for run in runs), f"\n{len(runs)} runs")
        return 0
    verdicts = perform(runs, options.meshes)
    console.print(table(verdicts))
    for verdict in verdicts:
        for violation in verdict.violations:
            console.print(f"✗ {verdict.run.name}: {violation}", style="red", markup=False)
    bad = sum(bool(verdict.violations) for verdict in verdicts)
    accepted = sum(verdict.figures.get("accepted", 0) for verdict in verdicts)
    console.print(f"{len(verdicts)} runs, {accepted} texts accepted, {bad} runs with violations")
    return bool(bad) or len(verdicts) != len(runs)


def perform(runs: list[Run], meshes: int) -> list[Verdict]:
    """All runs, in order of their names' place; each mesh takes the next one that is left."""
    waiting: SimpleQueue[Run] = SimpleQueue()
    for run in runs:
        waiting.put(run)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console) as progress:
        task = progress.add_task("runs", total=len(runs))

        def work() -> list[Verdict]:
            done = []
            with Arena.open() as arena:
                while True:
                    try:
                        verdict = arena.perform(waiting.get_nowait())
                    except Empty:
                        return done
                    done.append(verdict)
                    mark = "[red]✗[/]" if verdict.violations else "[green]✓[/]"
                    progress.console.print(f"{mark} {verdict.run.name} [dim]{verdict.seconds:.0f} s[/]")
                    for violation in verdict.violations:
                        progress.console.print(f"    {violation}", markup=False)
                    progress.advance(task)

        with ThreadPoolExecutor(meshes) as pool:
            futures = [pool.submit(work) for _ in range(min(meshes, len(runs)))]
            try:
                verdicts = [verdict for future in futures for verdict in future.result()]
            finally:
                # After Ctrl-C, or where a mesh did not start, the runs in hand are the last.
                with contextlib.suppress(Empty):
                    while True:
                        waiting.get_nowait()
    order = {run: place for place, run in enumerate(runs)}
    return sorted(verdicts, key=lambda verdict: order[verdict.run])


def table(verdicts: list[Verdict]) -> Table:
    """A row an injury, a column an outcome. A cell: the runs, and those that broke a promise."""
    cells: dict[tuple[str, str], list[Verdict]] = defaultdict(list)
    for verdict in verdicts:
        cells[verdict.run.row, verdict.run.outcome].append(verdict)
    outcomes = [*OUTCOMES, TOO_DEAR]
    made = Table("injury", *outcomes, title="Runs without a violation, of how many")
    for row in dict.fromkeys(verdict.run.row for verdict in verdicts):
        made.add_row(row, *(_cell(cells[row, outcome]) for outcome in outcomes))
    return made


def _cell(verdicts: list[Verdict]) -> str:
    if not verdicts:
        return "·"
    good = sum(not verdict.violations for verdict in verdicts)
    return f"[{'green' if good == len(verdicts) else 'red'}]{good}/{len(verdicts)}[/]"


def _chosen(run: Run, only: list[str]) -> bool:
    return not only or any(text in run.name for text in only)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make crash", description=__doc__)
    parser.add_argument("--only", action="append", default=[], help="a part of the names of the runs")
    parser.add_argument("--meshes", type=int, default=3, help="how many run at once")
    parser.add_argument("--quick", action="store_true", help="what `make test` runs")
    parser.add_argument("--full", action="store_true", help="every injury with every outcome and every report")
    parser.add_argument("--list", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
