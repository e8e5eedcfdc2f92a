"""What watches the mesh looks at what there is: metrics, labels and methods of the code, runbooks of the docs."""

import asyncio
import importlib
import os
import pkgutil
import re
import shutil
import subprocess
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client import REGISTRY

import kit
import services
from astronote.accounts.v1.events_pb2 import MerchantRegistered
from deploy import dashboards
from kit.bus import BROKER_CONNECTED
from services.campaigns.figures import Figures as CampaignFigures
from services.sender.figures import Figures as SenderFigures
from services.wallet.audit import Recount
from tests.conftest import TestMesh
from tests.deploy.conftest import ROOT, built, of_kind
from tests.test_architecture import METHODS

MONITORING = ROOT / "deploy/k8s/components/monitoring"
RULES = yaml.safe_load((MONITORING / "rules.yaml").read_text())["spec"]
ALERTS = {rule["alert"]: rule for group in RULES["groups"] for rule in group["rules"]}
TRIALS = yaml.safe_load((MONITORING / "rules.test.yaml").read_text())["tests"]
# Of Prometheus itself, and what it adds to each sample (`pods.yaml`); our own label `job` becomes `exported_job`.
UP = {"up": set[str]()}
ADDED = {"app", "pod", "le", "exported_job"}


def expressions() -> Iterator[str]:
    yield from (rule["expr"] for rule in ALERTS.values())
    for _, panels in dashboards.DASHBOARDS.values():
        for panel in panels:
            yield from panel.queries.values()


def metrics() -> dict[str, set[str]]:
    """The names under which Prometheus finds them, and their labels."""
    for package in (kit, services):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    named = REGISTRY._names_to_collectors.items()
    return UP | {name: set(getattr(collector, "_labelnames", ())) for name, collector in named}


def selectors(expression: Any) -> Iterator[Any]:
    if isinstance(expression, promql_parser.VectorSelector):
        yield expression
    for part in ("expr", "lhs", "rhs", "vector_selector", "param"):
        if (inner := getattr(expression, part, None)) is not None:
            yield from selectors(inner)
    for argument in getattr(expression, "args", None) or ():
        yield from selectors(argument)


def test_every_metric_that_is_watched_is_one_of_ours() -> None:
    known = metrics()
    found = [selector for text in expressions() for selector in selectors(promql_parser.parse(text))]
    assert len(found) > len(ALERTS)
    paths = [f"/{method.containing_service.full_name}/{method.name}" for method in METHODS]
    for selector in found:
        assert selector.name in known, selector.name
        for matcher in selector.matchers.matchers:
            assert matcher.name in known[selector.name] | ADDED, f"{selector.name} has no {matcher.name}"
            if matcher.name == "method":
                assert any(re.fullmatch(matcher.value, path) for path in paths), matcher.value


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_says_what_to_do(alert: str) -> None:
    rule = ALERTS[alert]
    assert rule["labels"]["severity"] in ("page", "ticket")
    runbook = ROOT / rule["annotations"]["runbook"]
    assert f"## {alert}\n" in runbook.read_text()
    assert alert in (ROOT / "docs/runbooks/README.md").read_text()


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_is_tried_where_it_fires_and_where_it_is_silent(alert: str) -> None:
    tried = [case for test in TRIALS for case in test["alert_rule_test"] if case["alertname"] == alert]
    assert {bool(case["exp_alerts"]) for case in tried} == {True, False}


def test_the_alerts_fire_when_they_should(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        assert not os.environ.get("CI"), "promtool is missing: apt-get install prometheus"
        pytest.skip("promtool is missing: apt-get install prometheus")
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(RULES))
    shutil.copy(MONITORING / "rules.test.yaml", tmp_path)
    for command in (["check", "rules", "rules.yaml"], ["test", "rules", "rules.test.yaml"]):
        done = subprocess.run([promtool, *command], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", dashboards.DASHBOARDS)
def test_dashboards_are_what_is_made_of_them(name: str) -> None:
    """`make dashboards`."""
    assert (dashboards.FOLDER / f"{name}.json").read_text() == dashboards.text(name)


@pytest.mark.xdist_group("deploy")
def test_grafana_finds_all_of_them() -> None:
    (found,) = [each for name, each in of_kind(built("production"), "ConfigMap").items() if "dashboards" in name]
    assert set(found["data"]) == {f"{name}.json" for name in dashboards.DASHBOARDS}


@pytest.mark.parametrize("name", dashboards.DASHBOARDS)
def test_the_pictures_are_of_these_dashboards(name: str) -> None:
    """`make pictures`, when a panel is new."""
    picture = (ROOT / f"docs/pictures/dashboards/{name}.svg").read_text()
    assert f"pictures/dashboards/{name}.svg" in (ROOT / "docs/operations.md").read_text()
    assert [panel.title for panel in dashboards.DASHBOARDS[name][1] if escape(panel.title) not in picture] == []


async def test_what_waits_is_counted(mesh: TestMesh) -> None:
    for name in ("campaigns", "sender", "wallet"):
        await mesh.service(name)
    for figures in (CampaignFigures, SenderFigures):
        service = figures.__module__.split(".")[1]
        assert await figures(mesh.app(service).database).step() is False
    # The wallet's own recount may be at it: then it is not counted twice.
    for _ in range(100):
        await Recount(mesh.app("wallet").database).step()
        if REGISTRY.get_sample_value("wallet_credits", {"balance": "held"}) is not None:
            break
        await asyncio.sleep(0.05)
    for metric in ("messages_unknown", "webhooks_waiting", "wallet_holds_open", "batch_generation_max"):
        assert REGISTRY.get_sample_value(metric) is not None
    assert REGISTRY.get_sample_value("wallet_top_up_oldest_seconds") >= 0
    # Who has no bus, such as the gateway, says nothing of it: the alert takes the lowest of a service.
    said = {sample.labels["service"] for each in BROKER_CONNECTED.collect() for sample in each.samples}
    assert {"campaigns", "sender", "wallet"} <= said
    assert "gateway" not in said
    # A counter that begins with its first event hides that one: `increase` sees a series from its second sample on.
    subject = f"event.{MerchantRegistered.DESCRIPTOR.full_name}"
    assert REGISTRY.get_sample_value("dead_letters_total", {"subject": subject}) is not None
    assert REGISTRY.get_sample_value("ledger_discrepancies") == 0
    assert REGISTRY.get_sample_value("wallet_credits", {"balance": "held"}) >= 0
    assert REGISTRY.get_sample_value("database_connections_in_use", {"role": "pipeline"}) >= 0
