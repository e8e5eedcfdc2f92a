"""The overlays, built as a cluster would get them."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
OVERLAYS = ("local", "staging", "production", "staging/migrations", "production/migrations")
Manifest = dict[str, Any]
Build = dict[tuple[str, str], Manifest]


@pytest.fixture(scope="session")
def builds() -> dict[str, Build]:
    """What `kubectl apply -k` would apply, by overlay, then by kind and name."""
    return {overlay: built(overlay) for overlay in OVERLAYS}


def built(overlay: str) -> Build:
    command = [Path(sys.executable).with_name("kubectl"), "kustomize", ROOT / "deploy/k8s/overlays" / overlay]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:2000]
    manifests = [manifest for manifest in yaml.load_all(done.stdout, yaml.CSafeLoader) if manifest]
    return {(manifest["kind"], manifest["metadata"]["name"]): manifest for manifest in manifests}


def of_kind(build: Build, kind: str) -> dict[str, Manifest]:
    return {name: manifest for (each, name), manifest in build.items() if each == kind}
