"""A measured figure, a run of them as a table and as JSON, and two runs side by side."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.table import Table


@dataclass(frozen=True)
class Figure:
    """`aim` is a floor where more is better, else a ceiling; `ratio` is the value over the machine's own limit."""

    name: str
    value: float
    unit: str
    aim: float | None = None
    more_is_better: bool = True
    ratio: float | None = None
    #: What the ratio is to.
    limit: str = ""

    @property
    def holds(self) -> bool:
        if self.aim is None:
            return True
        return self.value >= self.aim if self.more_is_better else self.value <= self.aim


def line(figure: Figure) -> str:
    ratio = "" if figure.ratio is None else f"  ({figure.ratio:.3f} of {figure.limit})"
    return f"[{_style(figure)}]●[/] {figure.name}: {number(figure.value)} {figure.unit}{ratio}"


def table(figures: Sequence[Figure], title: str) -> Table:
    shown = Table(title=title, title_justify="left")
    shown.add_column("what")
    for name in ("value", "aim", "ratio"):
        shown.add_column(name, justify="right")
    shown.add_column("to")
    for figure in figures:
        shown.add_row(
            figure.name,
            f"[{_style(figure)}]{number(figure.value)}[/] {figure.unit}",
            aim(figure),
            "" if figure.ratio is None else f"{figure.ratio:.3f}",
            figure.limit,
        )
    return shown


def save(figures: Sequence[Figure], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([asdict(figure) for figure in figures], indent=1, ensure_ascii=False) + "\n")


def load(path: Path) -> list[Figure]:
    return [Figure(**each) for each in json.loads(path.read_text())]


def processes_of(figures: Sequence[Figure]) -> dict[str, float]:
    """CPU in milliseconds of a thousand recipients of the largest campaign of the run, by process."""
    found: dict[str, float] = {}
    for figure in figures:
        before, is_cost, process = figure.name.partition(": CPU of ")
        if is_cost and before.startswith("cost of "):
            found[process] = figure.value
    return found


def comparison(before: Sequence[Figure], after: Sequence[Figure]) -> Table:
    """Those that stand in both. Ratios are compared where both have one: the machine may have changed meanwhile."""
    shown = Table(title="before → after", title_justify="left")
    shown.add_column("what")
    for name in ("before", "after", "change", "change of ratio"):
        shown.add_column(name, justify="right")
    found = {figure.name: figure for figure in before}
    for figure in after:
        old = found.get(figure.name)
        if old is None:
            continue
        shown.add_row(
            f"{figure.name}, {figure.unit}",
            number(old.value),
            number(figure.value),
            _change(old.value, figure.value),
            _change(old.ratio, figure.ratio) if old.ratio and figure.ratio else "",
        )
    return shown


def _style(figure: Figure) -> str:
    return "default" if figure.aim is None else "green" if figure.holds else "red"


def aim(figure: Figure) -> str:
    if figure.aim is None:
        return ""
    return f"{'≥' if figure.more_is_better else '≤'} {number(figure.aim)}"


def number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.3g}"


def _change(before: float | None, after: float | None) -> str:
    return f"{(after or 0) / before - 1:+.1%}" if before else ""
