"""What the processes of a mesh have used, as Linux counts it."""

import os
from collections.abc import Mapping
from pathlib import Path

from deploy.local.mesh import Mesh

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def cpu_seconds(mesh: Mesh) -> dict[str, float]:
    """By child, and with its own children (PostgreSQL's backends)."""
    parents = _parents()
    return {name: sum(_cpu(pid) for pid in _family(child.pid, parents)) for name, child in mesh.children.items()}


def forget_peaks(mesh: Mesh) -> None:
    for child in mesh.children.values():
        Path(f"/proc/{child.pid}/clear_refs").write_text("5")


def peaks_mb(mesh: Mesh) -> dict[str, float]:
    """The most memory that was resident since `forget_peaks`."""
    found = {}
    for name, child in mesh.children.items():
        status = Path(f"/proc/{child.pid}/status").read_text()
        found[name] = int(status.split("VmHWM:")[1].split()[0]) / 1024
    return found


def written_bytes(mesh: Mesh, name: str) -> int:
    """What one child has given to the disk: of the broker, what JetStream keeps."""
    found = Path(f"/proc/{mesh.children[name].pid}/io").read_text()
    return int(found.split("\nwrite_bytes:")[1].split()[0])


def _family(pid: int, parents: Mapping[int, int]) -> list[int]:
    return [pid, *(child for child, parent in parents.items() if parent == pid)]


def _parents() -> dict[int, int]:
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            found[int(folder.name)] = int(_fields(folder)[1])
        except FileNotFoundError:
            continue  # it ended meanwhile
    return found


def _cpu(pid: int) -> float:
    """Its own and that of its ended children."""
    try:
        fields = _fields(Path(f"/proc/{pid}"))
    except FileNotFoundError:
        return 0.0
    return sum(int(ticks) for ticks in fields[11:15]) / TICKS_PER_SECOND


def _fields(folder: Path) -> list[str]:
    """Of `stat`, from the state on: the name before it may hold spaces."""
    return (folder / "stat").read_text().rpartition(")")[2].split()
