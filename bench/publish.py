"""A run as docs/performance.md shows it: its table, its pictures, and what they say of larger meshes."""

from collections.abc import Sequence
from pathlib import Path

from bench import figures, plots, simulation
from bench.figures import Figure, processes_of

PAGE = Path("docs/performance.md")
PICTURES = Path("docs/pictures/bench")
BEGIN, END = "<!-- make bench-publish: from here -->", "<!-- make bench-publish: to here -->"
CAMPAIGNS = (10_000_000, 100_000_000)
# One that is sent within the hour is what merchants expect of a large campaign.
SECONDS = 3600.0
# `BATCHES_AHEAD` for a mesh of more than one machine.
AHEAD = 32
#: What stands in the mesh for others, and is no part of it.
NOT_OURS = ("mitto", "stripe")


def publish(run: Path) -> None:
    found = figures.load(run)
    plots.draw(found, PICTURES)
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{_shown(found)}{END}{after}")


def _shown(found: Sequence[Figure]) -> str:
    lines = ["| What | Seen | Aim | Ratio |", "|---|---|---|---|"]
    for figure in found:
        if " of " in figure.name and "CPU" in figure.name:
            continue  # drawn, and in the table of capacity
        ratio = "" if figure.ratio is None else f"{figure.ratio:.3f} of {figure.limit}"
        seen = f"{figures.number(figure.value)} {figure.unit}{'' if figure.holds else ' **(missed)**'}"
        lines.append(f"| {figure.name} | {seen} | {figures.aim(figure)} | {ratio} |")
    pictures = [f"![{name}](pictures/bench/{name}.svg)" for name in ("aims", "campaigns", "costs")]
    return "\n".join([*lines, "", *pictures, "", *_capacity(found), "", *_simulated(found)]) + "\n"


def _capacity(found: Sequence[Figure]) -> list[str]:
    """From the CPU of a thousand recipients: what a core carries where it does nothing else."""
    costs = {name: cost for name, cost in processes_of(found).items() if name not in NOT_OURS and cost > 0}
    if not costs:
        return []
    sizes = " | ".join(f"cores for {size // 1_000_000} million in an hour" for size in CAMPAIGNS)
    lines = [f"| Process | recipients/s a core | {sizes} |", "|---|---|" + "---|" * len(CAMPAIGNS)]
    for name, milliseconds in sorted(costs.items(), key=lambda each: -each[1]):
        cores = [size / SECONDS * milliseconds / 1e6 for size in CAMPAIGNS]
        needs = " | ".join(figures.number(each) for each in cores)
        lines.append(f"| {name} | {figures.number(1e6 / milliseconds)} | {needs} |")
    return lines


def _simulated(found: Sequence[Figure]) -> list[str]:
    """What meshes would carry, and which queue is the fullest in them."""
    costs = processes_of(found)
    if not costs:
        return []
    lines = [
        f"| Mesh | one campaign of 10 million | the same, {AHEAD} batches ahead |"
        " eight at once, 100 million together |",
        "|---|---|---|---|",
    ]
    for name, cores in simulation.MESHES.items():
        outcomes = [
            simulation.simulate(costs, cores, CAMPAIGNS[0]),
            simulation.simulate(costs, cores, CAMPAIGNS[0], ahead=AHEAD),
            simulation.simulate(costs, cores, CAMPAIGNS[1], campaigns=8),
        ]
        cells = [
            f"{figures.number(each.recipients_per_second)}/s; {each.fullest} {each.load:.0%} full" for each in outcomes
        ]
        minutes = CAMPAIGNS[1] / outcomes[-1].recipients_per_second / 60
        lines.append(f"| {name} | {' | '.join(cells)}; {minutes:,.0f} min |")
    return lines
