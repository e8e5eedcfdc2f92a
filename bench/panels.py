"""A dashboard as one picture: its panels where Grafana places them, with the lines that Prometheus answered."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from deploy.dashboards import DASHBOARDS, Panel, placed

COLUMN_PIXELS, ROW_PIXELS, GAP, HEAD = 50, 24, 8, 44
COLORS = ("#2b6cb0", "#c05621", "#2f855a", "#b83280", "#6b46c1", "#b7791f", "#2c7a7b", "#9b2c2c", "#4a5568", "#718096")
LEGEND_LINES, LEGEND_CHARACTERS, LEGEND_PIXELS = 10, 32, 220
FONT = "font-family: 'Liberation Sans', Arial, sans-serif"
SUFFIXES = {"s": " s", "reqps": "/s", "percentunit": " %", "bytes": " MB", "short": "", "bool_on_off": ""}
SCALES = {"percentunit": 100.0, "bytes": 1e-6}


@dataclass(frozen=True)
class Line:
    """Values by Unix time; what Prometheus has nothing for is not there."""

    name: str
    points: Sequence[tuple[float, float]]


Drawn = Mapping[str, Sequence[Line]]


def picture(name: str, drawn: Drawn, start: float, end: float) -> str:
    """`drawn`: the lines of each panel, by its title."""
    title, panels = DASHBOARDS[name]
    places = list(placed(panels))
    height = HEAD + ROW_PIXELS * max(place["y"] + place["h"] for _, place in places)
    width = COLUMN_PIXELS * 24
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" style="{FONT}" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="#edf2f7"/>',
        f'<text x="{GAP}" y="28" font-size="19" font-weight="bold">Astronote: {escape(title)}</text>',
        f'<text x="{width - GAP}" y="28" fill="#4a5568" text-anchor="end">{round(end - start)} seconds of a local run'
        "</text>",
    ]
    for panel, place in places:
        left, top = place["x"] * COLUMN_PIXELS + GAP / 2, HEAD + place["y"] * ROW_PIXELS
        size = place["w"] * COLUMN_PIXELS - GAP, place["h"] * ROW_PIXELS - GAP
        parts += [
            f'<g transform="translate({left} {top})">',
            f'<rect width="{size[0]}" height="{size[1]}" rx="3" fill="white" stroke="#cbd5e0"/>',
            f'<text x="8" y="18" font-weight="bold">{escape(panel.title)}</text>',
            *(_stat if panel.is_stat else _graph)(panel, drawn[panel.title], size, (start, end)),
            "</g>",
        ]
    return "\n".join([*parts, "</svg>", ""])


def _stat(panel: Panel, lines: Sequence[Line], size: tuple[int, int], _times: tuple[float, float]) -> list[str]:
    """The last value; red from where it alarms."""
    values = [point[1] for line in lines for point in line.points[-1:]]
    if not values:
        return [f'<text x="{size[0] / 2}" y="{size[1] - 26}" text-anchor="middle" fill="#718096">no data</text>']
    is_red = panel.alarm_from is not None and values[0] >= panel.alarm_from
    color = "#c53030" if is_red else "#2f855a"
    shown = ("on" if values[0] else "off") if panel.unit == "bool_on_off" else worded(values[0], panel.unit)
    place = f'x="{size[0] / 2}" y="{size[1] - 22}"'
    return [f'<text {place} text-anchor="middle" font-size="26" fill="{color}">{shown}</text>']


def _graph(panel: Panel, lines: Sequence[Line], size: tuple[int, int], times: tuple[float, float]) -> list[str]:
    left, top, right, bottom = 52, 30, size[0] - LEGEND_PIXELS, size[1] - 22
    highest = max((value for line in lines for _, value in line.points), default=0.0)
    ceiling = _round_up(highest) if highest > 0 else 1.0
    parts = []
    for step in range(3):
        y, value = bottom - (bottom - top) * step / 2, ceiling * step / 2
        parts.append(f'<path d="M{left} {y:.1f}H{right}" stroke="#e2e8f0"/>')
        said = worded(value, panel.unit)
        parts.append(
            f'<text x="{left - 5}" y="{y + 4:.1f}" text-anchor="end" fill="#4a5568" font-size="10">{said}</text>'
        )
    parts.append(f'<text x="{left}" y="{size[1] - 8}" fill="#4a5568" font-size="10">0</text>')
    seconds = round(times[1] - times[0])
    parts.append(
        f'<text x="{right}" y="{size[1] - 8}" text-anchor="end" fill="#4a5568" font-size="10">{seconds} s</text>'
    )
    if not lines:
        middle = (left + right) / 2
        parts.append(f'<text x="{middle}" y="{size[1] / 2}" text-anchor="middle" fill="#718096">nothing to show</text>')
    for index, line in enumerate(lines):
        color = COLORS[index % len(COLORS)]
        spots = [
            f"{left + (right - left) * (time - times[0]) / (times[1] - times[0]):.1f},"
            f"{bottom - (bottom - top) * value / ceiling:.1f}"
            for time, value in line.points
        ]
        parts.append(f'<polyline points="{" ".join(spots)}" fill="none" stroke="{color}" stroke-width="1.6"/>')
        if index < LEGEND_LINES:
            y = top + 2 + index * 14
            name = line.name if len(line.name) <= LEGEND_CHARACTERS else f"…{line.name[1 - LEGEND_CHARACTERS :]}"
            parts.append(f'<rect x="{right + 10}" y="{y - 8}" width="9" height="9" fill="{color}"/>')
            parts.append(f'<text x="{right + 23}" y="{y}" font-size="11">{escape(name)}</text>')
    return parts


def worded(value: float, unit: str) -> str:
    """With its unit, as short as can be."""
    scaled = value * SCALES.get(unit, 1.0)
    if unit == "s" and 0 < scaled < 1:
        return f"{scaled * 1000:.3g} ms"
    if scaled >= 1000:
        number = f"{scaled / 1000:.3g}k" if scaled < 1e6 else f"{scaled / 1e6:.3g}M"
    else:
        number = f"{scaled:.3g}"
    return number + SUFFIXES[unit]


def legend(template: str, labels: Mapping[str, str]) -> str:
    """As Grafana fills it in; methods and consumers without their packages."""
    filled = re.sub(r"{{(\w+)}}", lambda found: labels.get(found[1], ""), template)
    return re.sub(r"^/astronote\.\w+\.v1\.|_?(event|work)[._]astronote[._][a-z]+[._]v1[._]", " ", filled).strip()


def _round_up(value: float) -> float:
    """The next of 1, 2, 5, 10, …"""
    power = 10.0 ** (len(f"{value:.0f}") - 1) if value >= 1 else 10.0 ** -len(f"{1 / value:.0f}")
    return next(step * power for step in (1, 2, 5, 10, 20) if step * power >= value)
