"""What is said to cert-manager, CloudNativePG, Prometheus's operator and NATS's chart is what they understand."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from tests.deploy.conftest import ROOT, Build, Manifest
from tests.deploy.foreign import NATS_VALUES, SPECS
from tests.deploy.test_kubernetes import CLOSED, FOREIGN

# The overlays are built once.
pytestmark = pytest.mark.xdist_group("deploy")
VALUES = yaml.safe_load((ROOT / "deploy/k8s/components/nats/values.yaml").read_text())


def foreign(builds: dict[str, Build]) -> Iterator[tuple[str, Manifest]]:
    for build in builds.values():
        for (kind, _), manifest in build.items():
            if manifest["apiVersion"] in FOREIGN:
                yield f"{manifest['apiVersion']} {kind}", manifest


def faults(schema: Any, content: Any) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in Draft202012Validator(schema).iter_errors(content)]


def test_operators_understand_every_manifest(builds: dict[str, Build]) -> None:
    for kind, manifest in foreign(builds):
        assert set(manifest) == {"apiVersion", "kind", "metadata", "spec"}
        assert faults(SPECS[kind], manifest["spec"]) == [], manifest["metadata"]["name"]
    assert {kind for kind, _ in foreign(builds)} == set(SPECS)


def test_a_field_that_is_misspelt_is_noticed(builds: dict[str, Build]) -> None:
    for kind, manifest in foreign(builds):
        for name in manifest["spec"]:
            spec = {f"{key}s" if key == name else key: value for key, value in manifest["spec"].items()}
            assert faults(SPECS[kind], spec), (kind, name)


def test_the_chart_of_nats_understands_its_values() -> None:
    assert faults(NATS_VALUES, VALUES) == []
    moved = copy.deepcopy(VALUES)
    moved["config"]["sync_interval"] = moved["config"]["jetstream"].pop("merge")["sync_interval"]
    assert faults(NATS_VALUES, moved)


def test_the_pods_of_nats_are_let_into_the_namespace() -> None:
    """It enforces `restricted`: one container that does not say so keeps the whole pod out."""
    pod = VALUES["podTemplate"]["merge"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for name in ("container", "reloader", "promExporter"):
        assert VALUES[name]["merge"]["securityContext"] == CLOSED, name
