"""A PostgreSQL whose log is archived, backed up while it runs, and brought back to an instant: what CloudNativePG does
in production, by PostgreSQL's own means.
"""

import contextlib
import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg

from deploy.local import ports, postgres_runtime
from deploy.local.postgres import SUPERUSER, Postgres
from tests.waiting import until

WAIT_SECONDS = 60.0


class Cluster:
    """The cluster of a mesh's data folder. The archive and the full copy stand beside it, and are not lost with it."""

    def __init__(self, data: Path) -> None:
        self._data, self._folder = data, data / "postgres"
        self.port = 0

    def make(self) -> None:
        """Makes it, with archiving on from the first commit."""
        with self._alone():
            archive = self._place / "archive"
            archive.mkdir()
            self._own(archive)
            self.ask("ALTER SYSTEM SET archive_mode = 'on'")
            self.ask(f"ALTER SYSTEM SET archive_command = 'test ! -f {archive}/%f && cp %p {archive}/%f'")

    def back_up(self) -> str:
        """A full copy, while everything runs; its size."""
        copy = self._place / "base"
        url = f"postgresql://{SUPERUSER}:{self._password}@{ports.HOST}:{self.port}/"
        runtime = postgres_runtime.prepare(self._folder)
        made = runtime.run("pg_basebackup", f"--dbname={url}", f"--pgdata={copy}", "--checkpoint=fast")
        assert made.returncode == 0, made.stderr
        return f"{sum(file.stat().st_size for file in copy.rglob('*') if file.is_file()) / 1e6:.0f} MB"

    def now(self) -> datetime:
        found: datetime = self.ask("SELECT clock_timestamp()")
        return found

    def archive_all(self) -> None:
        """Waits until all that was committed is in the archive; in production nobody waits, and a minute is lost."""
        segment = self.ask("SELECT pg_walfile_name(pg_switch_wal())")
        archived = "SELECT coalesce(last_archived_wal, '') FROM pg_stat_archiver"
        until(lambda: self.ask(archived) >= segment, WAIT_SECONDS, "the log is not archived")

    def lose(self) -> None:
        shutil.rmtree(self._place / "cluster")

    def restore(self, target: datetime) -> None:
        """The full copy, and of the archive what was committed by then."""
        cluster = self._place / "cluster"
        (self._place / "base").rename(cluster)
        with (cluster / "postgresql.auto.conf").open("a") as settings:
            settings.write(f"restore_command = 'cp {self._place}/archive/%f %p'\n")
            settings.write(f"recovery_target_time = '{target.isoformat()}'\nrecovery_target_action = 'promote'\n")
        (cluster / "recovery.signal").touch()
        self._own(cluster / "recovery.signal")
        with self._alone():
            until(lambda: not self.ask("SELECT pg_is_in_recovery()"), WAIT_SECONDS, "the recovery does not end")

    def erase(self) -> None:
        shutil.rmtree(self._place, ignore_errors=True)
        shutil.rmtree(self._data, ignore_errors=True)

    def ask(self, query: str) -> Any:
        """The first value of the first row; nothing where there is none."""
        url = f"postgresql://{SUPERUSER}:{self._password}@{ports.HOST}:{self.port}/postgres"
        with psycopg.connect(url, autocommit=True) as connection:
            found = connection.execute(query.encode())
            row = found.fetchone() if found.description else None
        return row[0] if row else None

    @property
    def _place(self) -> Path:
        return postgres_runtime.place_of(self._folder)

    @property
    def _password(self) -> str:
        return (self._place / "password").read_text().strip()

    def _own(self, path: Path) -> None:
        """As root, PostgreSQL runs as another user."""
        owner = self._place.stat()
        shutil.chown(path, owner.st_uid, owner.st_gid)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Runs it without the mesh."""
        with Postgres(self._folder, run_folder=self._data / "run") as server:
            self.port = server.port
            yield
