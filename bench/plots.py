"""The figures of a run as pictures: each against its aim, campaigns by size, and what a recipient costs."""

from collections.abc import Sequence
from pathlib import Path

import pygal
from pygal.style import Style

from bench.figures import Figure, processes_of

STYLE = Style(background="white", plot_background="white", font_family="sans-serif", colors=("#2b6cb0", "#c05621"))
ROW_PIXELS = 26
LEAD_MAX = 3


def draw(figures: Sequence[Figure], folder: Path) -> None:
    """Writes `aims.svg`, and where campaigns were measured `campaigns.svg` and `costs.svg`."""
    folder.mkdir(parents=True, exist_ok=True)
    _aims(figures).render_to_file(str(folder / "aims.svg"))
    if campaigns := [figure for figure in figures if figure.name.startswith("campaign of") and figure.ratio]:
        _campaigns(campaigns).render_to_file(str(folder / "campaigns.svg"))
        _costs(figures).render_to_file(str(folder / "costs.svg"))


def _aims(figures: Sequence[Figure]) -> pygal.HorizontalBar:
    aimed = [figure for figure in figures if figure.aim and figure.value]
    chart = pygal.HorizontalBar(
        title=f"Times better than the aim: 1 is the aim, {LEAD_MAX} stands for more, orange is missed",
        style=STYLE,
        show_legend=False,
        include_x_axis=True,
        width=900,
        height=120 + ROW_PIXELS * len(aimed),
    )
    chart.x_labels = [figure.name for figure in reversed(aimed)]
    colors = {True: STYLE.colors[0], False: STYLE.colors[1]}
    leads = [(min(LEAD_MAX, round(_lead(each), 2)), colors[each.holds]) for each in reversed(aimed)]
    chart.add("", [{"value": lead, "color": color} for lead, color in leads])
    return chart


def _lead(figure: Figure) -> float:
    assert figure.aim
    return figure.value / figure.aim if figure.more_is_better else figure.aim / figure.value


def _campaigns(campaigns: Sequence[Figure]) -> pygal.Bar:
    title = "Campaigns: :send until all were accepted, recipients a second"
    chart = pygal.Bar(title=title, style=STYLE, width=900, height=500, legend_at_bottom=True, truncate_legend=-1)
    chart.x_labels = [figure.name.removeprefix("campaign of ") for figure in campaigns]
    chart.add("campaign", [round(figure.value) for figure in campaigns])
    chart.add("bare COPY of the same rows", [round(figure.value / (figure.ratio or 1)) for figure in campaigns])
    return chart


def _costs(figures: Sequence[Figure]) -> pygal.HorizontalBar:
    costs = processes_of(figures)
    chart = pygal.HorizontalBar(
        title="CPU of a thousand recipients of the largest campaign, milliseconds",
        style=STYLE,
        show_legend=False,
        width=900,
        height=120 + ROW_PIXELS * len(costs),
    )
    chart.x_labels = list(reversed(costs))
    chart.add("", [round(milliseconds, 1) for milliseconds in reversed(costs.values())])
    return chart
