"""`make run`: the mesh, the demo once, and then until Ctrl-C."""

import logging
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

import psycopg
from rich.console import Console
from rich.markup import escape

from deploy.local.children import spawn
from deploy.local.errors import LocalMeshError
from deploy.local.mesh import Mesh
from deploy.local.ports import HOST
from deploy.local.provision import ROOT

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
DEMO_MARKER = "demo.done"
DEMO_STOP_SECONDS = 5.0

console = Console(highlight=False, soft_wrap=True)  # plain by itself when nobody watches


class InterruptedRunError(BaseException):
    """Ctrl-C, or SIGTERM. Like KeyboardInterrupt, it is nobody's to swallow on the way up."""


def interrupt(_number: int, _frame: FrameType | None) -> None:
    """Once: a second Ctrl-C must not interrupt the stopping, which is bounded."""
    for number in SIGNALS:
        signal.signal(number, lambda *_: None)  # not SIG_IGN: children would inherit it
    raise InterruptedRunError


def report(stage: str, detail: str, seconds: float) -> None:
    """A line a stage."""
    console.print(f"[green]●[/] {stage:<10} {escape(detail)}  [dim]{seconds:.1f} s[/]")


def play_demo(mesh: Mesh) -> None:
    """Once a data folder: it registers a merchant and sends a campaign, to the stand-in only."""
    marker = mesh.data / DEMO_MARKER
    if marker.exists():
        return
    if "mitto" not in mesh.children:
        console.print("[yellow]●[/] no demo: MITTO_API_BASE is the real Mitto, and the sample contacts are nobody's")
        return
    settings = {
        **mesh.environment,
        "GATEWAY_URL": mesh.url,
        "MITTO_URL": f"http://{mesh.wiring.address('mitto')}",
        "PYTHONPATH": f"{ROOT}:{ROOT / 'gen'}",
    }
    demo = spawn((sys.executable, "-m", "deploy.local.demo"), settings, ROOT)
    try:
        code = demo.wait()
    finally:
        stop_demo(demo)
    if code == 0:
        marker.touch()
    else:
        console.print(f"[red]●[/] the demo ended with {code}; the mesh stays up, and the next start plays it again")


def stop_demo(demo: subprocess.Popen[bytes]) -> None:
    """Bounded; nothing to do when it has ended."""
    if demo.poll() is None:
        demo.terminate()
        try:
            demo.wait(DEMO_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            demo.kill()
            demo.wait()


def show_addresses(mesh: Mesh) -> None:
    """What there is to open."""
    console.print(f"\n  gateway    {mesh.url}    {mesh.url}/docs    {mesh.url}/openapi.json")
    for name in mesh.wiring.ports:
        metrics = mesh.wiring.metrics.get(name)
        shown = f"    http://{HOST}:{metrics}/metrics" if metrics else ""
        console.print(f"  {name:<10} {mesh.wiring.address(name)}{shown}", style="dim")
    console.print(f"  data       {escape(str(mesh.data))}    logs in {escape(str(mesh.run_folder))}")
    console.print("\nCtrl-C stops it.")


def main() -> int:
    """The exit code: 0 after Ctrl-C or SIGTERM, 1 when the mesh could not start."""
    logging.basicConfig(level=logging.WARNING, format="  %(message)s")
    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN or number != signal.SIGHUP:  # nohup means it
            signal.signal(number, interrupt)
    mesh = Mesh(Path(os.environ.get("ASTRONOTE_DATA") or ".data"), report=report)
    try:
        with mesh:
            play_demo(mesh)
            show_addresses(mesh)
            while True:
                signal.pause()
    except InterruptedRunError:
        console.print("\nstopped")
        return 0
    except (LocalMeshError, psycopg.OperationalError) as error:
        console.print(f"[red]●[/] {escape(str(error))}")
        return 1


if __name__ == "__main__":
    sys.exit(main())
