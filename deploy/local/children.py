"""Child processes that die with their parent, are started again when they die, and are stopped within a bound.

A child's id stands in `<run folder>/<name>.pid`, its output in `<name>.log` beside it.
"""

import contextlib
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Lock, Thread

from deploy.local.errors import ChildFailedError

LAUNCH = Path(__file__).with_name("launch.py")
MARK = "ASTRONOTE_CHILD"  # in a child's environment: its pid file, which proves that a process is ours
PAUSE_MIN_SECONDS, PAUSE_MAX_SECONDS = 0.1, 5.0
SETTLED_SECONDS = 10.0  # a child that lived as long starts again after the shortest pause
EXITS_MAX = 5  # before it was ever ready: it will not get better
LOG_BYTES_MAX = 16 * 1024 * 1024
POLL_SECONDS = 0.02

Stops = tuple[tuple[signal.Signals, float], ...]
GRACEFUL: Stops = ((signal.SIGTERM, 15.0), (signal.SIGKILL, 5.0))
STALE: Stops = ((signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0))  # SIGQUIT: what Postgres calls immediate

logger = logging.getLogger(__name__)

# The death signal comes when the *thread* that started a child ends. This one lives as long as the process, whoever
# asks: a test's worker thread, the keeper of a child, the main thread.
_spawner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawner")


@dataclass(frozen=True)
class Program:
    """What to run. `command[0]` is a path; `environment` is the whole of it; `stops` are tried in turn, in seconds.

    `before` runs before every start, the ones after a death too. `user` is a name, and needs root.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    folder: Path
    user: str = ""
    stops: Stops = GRACEFUL
    death_signal: signal.Signals = signal.SIGKILL
    before: Callable[[], None] = lambda: None


class Child:
    """A running program, started again whenever it ends, until `stop`. Every method may be called from any thread."""

    def __init__(self, program: Program, run_folder: Path):
        self.program = program
        self.name = program.name
        self.pid_file = run_folder.absolute() / f"{program.name}.pid"
        self.log_file = self.pid_file.with_suffix(".log")
        self.exits = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._keeper: Thread | None = None
        self._stopping = Event()
        self._lock = Lock()

    @property
    def pid(self) -> int:
        """The latest process's id; 0 before the first start and after `stop`."""
        return self._process.pid if self._process else 0

    def start(self) -> None:
        """Ends what an earlier supervisor left behind, then starts the program and keeps it running."""
        assert self._process is None, f"{self.name} is running"
        end_stale(self.pid_file)
        self._stopping.clear()
        self._process = self._spawn()
        self._keeper = Thread(target=self._keep, name=f"keeper of {self.name}", daemon=True)
        self._keeper.start()

    def stop(self) -> None:
        """Sends the program's signals in turn until it has ended; returns at once when it is not running."""
        with self._lock:  # no keeper is between its look at `_stopping` and a new process
            self._stopping.set()
            process, keeper = self._process, self._keeper
        if process is None or keeper is None:
            return
        for number, seconds in self.program.stops:
            process.send_signal(number)
            process.send_signal(signal.SIGCONT)  # a frozen process can't obey
            keeper.join(seconds)
            if not keeper.is_alive():
                break
            logger.warning("%s has not ended %.0f s after %s", self.name, seconds, number.name)
        self._process = self._keeper = None
        self.pid_file.unlink(missing_ok=True)

    def kill(self, number: signal.Signals = signal.SIGKILL) -> int:
        """Sends a signal to the process that runs now, and says which one that was. A dead one is started again."""
        with self._lock:
            assert self._process, f"{self.name} is not running"
            self._process.send_signal(number)
            return self._process.pid

    def wait(self, ready: Callable[[], bool], timeout_seconds: float) -> None:
        """Returns once `ready()`; raises ChildFailedError when the child keeps ending, or time is up."""
        deadline = time.monotonic() + timeout_seconds
        exits = self.exits
        while not ready():
            self.check(exits)
            if time.monotonic() > deadline:
                raise ChildFailedError(f"{self.name} was not ready after {timeout_seconds:.0f} s\n{self.tail()}")
            time.sleep(POLL_SECONDS)

    def check(self, exits: int) -> None:
        """Raises ChildFailedError when the child has ended too often since it had ended `exits` times."""
        if self.exits - exits >= EXITS_MAX:
            raise ChildFailedError(f"{self.name} ends each time it is started\n{self.tail()}")

    def tail(self) -> str:
        """The end of the log, under its name."""
        with contextlib.suppress(FileNotFoundError):
            last = self.log_file.read_text(errors="replace")[-16_384:].splitlines()[-15:]
            return "\n".join([f"{self.log_file}:", *(f"    {line}" for line in last)])
        return f"{self.log_file} is not there"

    def _spawn(self) -> subprocess.Popen[bytes]:
        self.program.before()
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        if self.log_file.exists() and self.log_file.stat().st_size > LOG_BYTES_MAX:
            self.log_file.replace(self.log_file.with_suffix(".log.old"))
        with self.log_file.open("ab") as log:
            process = spawn(
                self.program.command,
                {**self.program.environment, MARK: str(self.pid_file)},
                self.program.folder,
                user=self.program.user,
                death_signal=self.program.death_signal,
                log=log.fileno(),
            )
        fresh = self.pid_file.with_suffix(".pid.new")
        fresh.write_text(f"{process.pid}\n")
        fresh.replace(self.pid_file)
        return process

    def _keep(self) -> None:
        pause_seconds = PAUSE_MIN_SECONDS
        began = time.monotonic()
        while self._process:
            code = self._process.wait()
            if self._stopping.is_set():
                return
            self.exits += 1
            if time.monotonic() - began > SETTLED_SECONDS:
                pause_seconds = PAUSE_MIN_SECONDS
            logger.warning("%s ended with %d; starting it again in %.1f s", self.name, code, pause_seconds)
            if self._stopping.wait(pause_seconds):
                return
            pause_seconds = min(2 * pause_seconds, PAUSE_MAX_SECONDS)
            began = time.monotonic()
            with self._lock:
                if self._stopping.is_set():
                    return
                try:
                    self._process = self._spawn()
                except OSError:  # no memory, no disk: the old process is waited for again, at once, and then a pause
                    logger.exception("%s could not be started", self.name)


def launched(command: Iterable[str], user: str = "", death_signal: signal.Signals = signal.SIGKILL) -> tuple[str, ...]:
    """The command line of what becomes `command`, as the user, and gets `death_signal` when this process ends."""
    return (sys.executable, "-I", "-S", str(LAUNCH), str(os.getpid()), str(int(death_signal)), user, *command)


def spawn(
    command: Iterable[str],
    environment: Mapping[str, str],
    folder: Path,
    *,
    user: str = "",
    death_signal: signal.Signals = signal.SIGKILL,
    log: int | None = None,
) -> subprocess.Popen[bytes]:
    """A process that gets `death_signal` when this one ends.

    With a log (a file descriptor) it has a session of its own, so that Ctrl-C reaches only the supervisor, which stops
    all in order; without one it shares our terminal.
    """
    return _spawner.submit(
        lambda: subprocess.Popen(
            launched(command, user, death_signal),
            env=dict(environment),
            cwd=folder,
            stdin=None if log is None else subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=log is not None,
        )
    ).result()


def stop_together(children: Iterable[Child]) -> None:
    """Stops them at the same time; the bound is the slowest one's."""
    with ThreadPoolExecutor(max_workers=16, thread_name_prefix="stop") as pool:
        list(pool.map(Child.stop, children))


def end_stale(pid_file: Path) -> None:
    """Ends the process that an earlier supervisor left, if the id in the file still is that process. Bounded."""
    try:
        pid = int(pid_file.read_text())
    except (FileNotFoundError, ValueError):
        return
    for number, seconds in STALE:
        if not is_ours(pid, pid_file):
            break
        logger.warning("%s was left running as %d; sending %s", pid_file.stem, pid, number.name)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
            os.kill(pid, signal.SIGCONT)
        deadline = time.monotonic() + seconds
        while is_alive(pid) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
    pid_file.unlink(missing_ok=True)


def is_alive(pid: int) -> bool:
    """Whether the process still runs. One that ended and was not waited for, by a lazy init, does not."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return not Path("/proc/self").exists()  # with /proc, it went in between


def is_ours(pid: int, pid_file: Path) -> bool:
    """Whether the process is alive and was started under this pid file: its id may be somebody else's by now."""
    mark = f"{MARK}={pid_file}"
    if Path("/proc/self/environ").exists():
        try:
            return mark.encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except OSError:  # gone, or another user's
            return False
    listing = subprocess.run(["ps", "eww", "-o", "command=", "-p", str(pid)], capture_output=True, check=False)
    return mark.encode() in listing.stdout
