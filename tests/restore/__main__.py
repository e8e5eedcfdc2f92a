"""`make rehearse-restore`: the steps of docs/backup.md, one after the other, on a mesh of its own with real parts.

Two shops send and buy; an instant is noted in the middle of a campaign; the world goes on; PostgreSQL and NATS are
lost. All databases go back to the instant, and the provider's own record judges what came of it.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table
from sqlalchemy.engine import make_url

from deploy.local import ports
from deploy.local.members import MEMBERS, ROOT, Member, operator
from deploy.local.mesh import READY_SECONDS, Mesh
from tests.restore import judging
from tests.restore.cluster import Cluster
from tests.restore.world import SETTINGS, World

AWAY = ("contacts", "gateway")
CLOSED_SECONDS = 120.0
SLEEP = ("-c", "import time; time.sleep(1e6)")


class ClosedMesh(Mesh):
    """Without contacts nobody is texted, and without the gateway nobody asks for anything."""

    def wait_ready(self, timeout_seconds: float = READY_SECONDS) -> None:
        for name in ("campaigns", "sender", "wallet"):
            port = self.wiring.ports[name]
            self.children[name].wait(lambda port=port: ports.answers(port), timeout_seconds)


class Rehearsal:
    def __init__(self) -> None:
        self.data = Path(tempfile.mkdtemp(prefix="astronote-restore-"))
        self.data.chmod(0o755)
        self.cluster = Cluster(self.data)
        self.rows: list[tuple[str, float, str]] = []
        fixed = {name: str(ports.free()) for name in ("PORT", "MITTO_PORT", "STRIPE_PORT")}
        self._environment = {**os.environ, **fixed}

    def mesh(self, kind: type[Mesh] = Mesh, members: Sequence[Member] = MEMBERS) -> Mesh:
        return kind(self.data, environment=self._environment, members=members, overrides=SETTINGS)

    def step(self, name: str, do: Callable[[], Any]) -> Any:
        """What it returns stands in the table."""
        began = time.monotonic()
        came = do()
        self.rows.append((name, time.monotonic() - began, _shown(came)))
        console.print(f"[dim]{self.rows[-1][1]:6.1f} s[/] {name}: {self.rows[-1][2]}")
        return came

    def ops(self, mesh: Mesh, *words: str) -> dict[str, Any]:
        """The operator's command line, as a shell would call it."""
        environment = {"PATH": os.environ.get("PATH", os.defpath), **operator(mesh.wiring)}
        command = [sys.executable, "-m", "ops", "--json", *words]
        done = subprocess.run(
            command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=400, check=False
        )
        assert done.returncode == 0, f"ops {' '.join(words)}: {done.stdout}{done.stderr}"
        answer: dict[str, Any] = orjson.loads(done.stdout)
        return answer

    def before(self) -> World:
        with self.mesh() as mesh:
            self._find_port(mesh)
            world = World(mesh)
            self.step("a full copy, while all runs (pg_basebackup)", self.cluster.back_up)
            world.begin()
            self.instant = self.cluster.now().astimezone(UTC)
            self.step("the world goes on", world.go_on)
            self.cluster.archive_all()
            self.accepted_at_loss = world.accepted()
        return world

    def restore(self) -> None:
        self.cluster.lose()
        shutil.rmtree(self.data / "nats" / "jetstream")
        self.step("PostgreSQL: the copy, and the log up to the instant", lambda: self.cluster.restore(self.instant))

    def stop_all(self) -> None:
        """Nobody is texted meanwhile, since contacts is away."""
        members = [replace(each, arguments=SLEEP) if each.name in AWAY else each for each in MEMBERS]
        closed = self.mesh(ClosedMesh, members)
        self.step("NATS empty; all but contacts and the gateway start", closed.start)
        try:
            self.step("ops restore stop", lambda: self.ops(closed, "restore", "stop", "--to", self.to, "--yes"))
        finally:
            closed.stop()

    def after(self, world: World) -> list[str]:
        mesh = self.mesh()
        self.step("contacts and the gateway start", mesh.start)
        try:
            self._find_port(mesh)
            world.move(mesh)
            log = str(mesh.run_folder / "contacts.log")
            self.step("ops restore opt-outs", lambda: self.ops(mesh, "restore", "opt-outs", "--to", self.to, log))
            self.step("ops restore payments", lambda: self.ops(mesh, "restore", "payments", "--to", self.to))
            self.step("the books close", lambda: judging.settled(world))
            self.step("ops ledger audit", lambda: self.ops(mesh, "ledger", "audit"))
            self.step("ops drain --undo", lambda: self.ops(mesh, "drain", "--undo"))
            fresh = self.step("a new campaign; NATS loses its disk in the middle of it", lambda: _send(world, mesh))
            audit = self.ops(mesh, "ledger", "audit")
            report = world.large.report(world.campaign)
            self._tell(world, report)
            return judging.violations(world, report, fresh, audit)
        finally:
            mesh.stop()

    @property
    def to(self) -> str:
        return self.instant.strftime("%Y-%m-%dT%H:%M:%S.%f")

    def _find_port(self, mesh: Mesh) -> None:
        self.cluster.port = make_url(mesh.databases["wallet"].owner_url).port or 0

    def _tell(self, world: World, report: dict[str, Any]) -> None:
        table = Table("step", "seconds", "what came of it", title="The rehearsal")
        for name, seconds, came in self.rows:
            table.add_row(name, f"{seconds:.1f}", came)
        console.print(table)
        lost = Table("of the time since", self.to, title="What is lost")
        lost.add_row("texts that the provider accepted", str(self.accepted_at_loss - world.accepted_then))
        lost.add_row("submitted by the campaign, before", str(_submitted(world.reported)))
        lost.add_row("of these it knows now", str(_submitted(report["counts"])))
        lost.add_row("of these it charges", str(report["credits"]["captured"]))
        console.print(lost)


def _send(world: World, mesh: Mesh) -> str:
    campaign = world.large.campaign(judging.FRESH_TEXT)
    world.large.verb(campaign, "send")
    world.large.submitted(campaign, 40)
    mesh.wipe_stream()
    world.large.closed(campaign, CLOSED_SECONDS)
    return campaign


def _submitted(counts: dict[str, Any]) -> int:
    return int(counts["targeted"] - counts["queued"] - sum(counts["skipped"].values()))


def _shown(came: Any) -> str:
    if isinstance(came, dict):
        return ", ".join(f"{name} {value}" for name, value in came.items() if value not in ("", {}))
    return "" if came is None else str(came)


def main() -> int:
    rehearsal = Rehearsal()
    try:
        rehearsal.cluster.make()
        world = rehearsal.before()
        rehearsal.restore()
        rehearsal.stop_all()
        wrong = rehearsal.after(world)
    finally:
        rehearsal.cluster.erase()
    for fact in wrong:
        console.print(f"[red]✗[/] it does not hold that {fact}")
    console.print("[green]All that was promised holds.[/]" if not wrong else f"{len(wrong)} promises are broken.")
    return bool(wrong)


console = Console(soft_wrap=True)

if __name__ == "__main__":
    sys.exit(main())
