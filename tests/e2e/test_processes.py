"""What the processes of the mesh are to the machine that they run on."""

import errno
import os
from pathlib import Path

import pytest

from deploy.local.members import MEMBERS, Kind
from deploy.local.mesh import Mesh
from kit import log
from kit.app import run

pytestmark = pytest.mark.xdist_group("e2e")


def test_no_thread_of_a_service_takes_the_core_from_the_one_that_woke_it(running_mesh: Mesh) -> None:
    running_mesh.wait_ready()
    for name in (member.name for member in MEMBERS if member.kind != Kind.STAND_IN):
        threads = list(Path(f"/proc/{running_mesh.children[name].pid}/task").iterdir())
        assert len(threads) > 3, name
        assert {os.sched_getscheduler(int(thread.name)) for thread in threads} == {os.SCHED_BATCH}, name


def test_a_kernel_that_knows_no_such_class_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """As gVisor, which knows but one."""

    def refuse(*_: object) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    ran = []

    async def main() -> None:
        ran.append(True)

    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    monkeypatch.setattr(log, "setup", lambda _: None)
    run("sender", main())
    assert ran
