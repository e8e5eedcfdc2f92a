"""Draws Grafana's dashboards from what Prometheus saw of a busy mesh: `make pictures`, with Debian's `prometheus`.

The panels' own queries are asked of a Prometheus that scrapes each process as `pods.yaml` has it scrape the pods.
"""

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from bench.bustle import Bustle
from bench.panels import Drawn, Line, legend, picture
from deploy.dashboards import DASHBOARDS, Panel
from deploy.local import ports
from deploy.local.children import spawn
from deploy.local.mesh import Mesh

FOLDER = Path("docs/pictures/dashboards")
SCRAPE_SECONDS, STEP_SECONDS = 2, 3
# Some campaigns' worth: of millions nobody would see what is held.
CREDITS = "200000"
# Of five minutes nothing would be seen in a run of four.
WINDOW, OPERATORS_WINDOW = "[1m]", "[5m]"
# Small limits and frequent counts, so that a short run shows what days would.
OVERRIDES = {
    "gateway": {"RATE_LIMIT_FACTOR": "3"},
    "sender": {"RECOUNT_INTERVAL_SECONDS": "5"},
    "wallet": {"RECOUNT_INTERVAL_SECONDS": "5"},
}


@contextmanager
def watching(mesh: Mesh) -> Iterator[httpx.Client]:
    """A Prometheus that scrapes the mesh, as a client of it."""
    folder, port = mesh.data / "prometheus", ports.free()
    folder.mkdir()
    targets = [
        {"targets": [f"{ports.HOST}:{at}"], "labels": {"app": name, "pod": f"{name}-1"}}
        for name, at in mesh.wiring.metrics.items()
    ]
    jobs = [{"job_name": "astronote", "static_configs": targets}]
    config = {"global": {"scrape_interval": f"{SCRAPE_SECONDS}s"}, "scrape_configs": jobs}
    (folder / "prometheus.yml").write_text(json.dumps(config))
    options = {
        "config.file": "prometheus.yml",
        "storage.tsdb.path": "data",
        "web.listen-address": f"{ports.HOST}:{port}",
    }
    command = [str(shutil.which("prometheus")), *(f"--{name}={value}" for name, value in options.items())]
    with (folder / "log").open("w") as log:
        process = spawn(command, os.environ, folder, log=log.fileno())
    try:
        with httpx.Client(base_url=f"http://{ports.HOST}:{port}", timeout=60) as client:
            yield client
    finally:
        process.terminate()
        process.wait(30)


def lines(prometheus: httpx.Client, panel: Panel, start: float, end: float) -> Iterator[Line]:
    for template, query in panel.queries.items():
        asked = {"query": query.replace(OPERATORS_WINDOW, WINDOW), "start": start, "end": end, "step": STEP_SECONDS}
        answer = prometheus.post("/api/v1/query_range", data=asked).raise_for_status().json()
        series: list[dict[str, Any]] = answer["data"]["result"]
        for each in sorted(series, key=lambda each: -max(map(_number, each["values"]))):
            points = [(float(point[0]), _number(point)) for point in each["values"]]
            yield Line(legend(template, each["metric"]), points)


def _number(point: Any) -> float:
    """A quotient of nothing by nothing is NaN: nothing."""
    value = float(point[1])
    return value if value == value else 0.0  # noqa: PLR0124


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=240)
    seconds = parser.parse_args().seconds
    if shutil.which("prometheus") is None:
        print("prometheus is missing: apt-get install prometheus", file=sys.stderr)  # noqa: T201
        return 1
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (
        Mesh.temporary(settings={"WELCOME_CREDITS": CREDITS}, overrides=OVERRIDES) as mesh,
        watching(mesh) as prometheus,
    ):
        start = time.time()
        Bustle(mesh).run(seconds)
        end = time.time()
        for name, (_, panels) in DASHBOARDS.items():
            drawn: Drawn = {panel.title: list(lines(prometheus, panel, start, end)) for panel in panels}
            (FOLDER / f"{name}.svg").write_text(picture(name, drawn, start, end))
            empty = [title for title, found in drawn.items() if not found]
            print(f"{name}: nothing to show in {empty}" if empty else f"{name}: all panels")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
