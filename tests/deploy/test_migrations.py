"""`python -m migrations SERVICE`, as a Job runs it: rights and versions, once, or a line that says why not."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from psycopg import sql

from deploy.local import ports, provision
from deploy.local.postgres import Postgres
from migrations.__main__ import LOCK, SERVICES, main
from tests import conftest
from tests.deploy.conftest import ROOT

DATABASE, SECONDS_MAX = "migrated_by_a_job", 60


def plain(url: str) -> str:
    return url.replace("+psycopg", "")


def job(service: str, url: str) -> subprocess.Popen[str]:
    """With nothing else in its environment, as in the image."""
    return subprocess.Popen(
        [sys.executable, "-m", "migrations", service],
        cwd=ROOT,
        env={"PATH": os.defpath, "PYTHONPATH": ".:gen", "MIGRATION_DATABASE_URL": url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def held(postgres: Postgres) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """The lock that migrations wait for."""
    with psycopg.connect(plain(postgres.url(DATABASE)), autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        yield connection


@pytest.fixture(scope="module")
def owner_url(postgres: Postgres) -> str:
    """Of a database as CloudNativePG makes one: it has an owner, and nothing is in it."""
    passwords = dict.fromkeys(provision.role_names(["accounts"]), "test")
    made = provision.provision(postgres.url(), ["accounts"], passwords)["accounts"]
    with psycopg.connect(plain(postgres.url()), autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} OWNER accounts_owner STRATEGY file_copy").format(sql.Identifier(DATABASE))
        )
    return made.owner_url.replace(made.name, DATABASE)


def test_of_two_at_once_one_migrates(postgres: Postgres, owner_url: str) -> None:
    with held(postgres) as connection:
        jobs = [job("accounts", owner_url) for _ in range(2)]
        end = time.monotonic() + SECONDS_MAX
        waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid = %s"
        while connection.execute(waiting, [LOCK]).fetchone() != (2,):
            assert time.monotonic() < end
            time.sleep(0.02)
    said = sorted(each.communicate(timeout=SECONDS_MAX) for each in jobs)
    assert [each.returncode for each in jobs] == [0, 0]
    (second, _), (first, _) = said
    assert first.startswith("accounts: nothing → ")
    head = first.split()[-1]
    assert second == f"accounts: at {head}\n"
    with psycopg.connect(plain(owner_url.replace("accounts_owner", "accounts", 1))) as service:
        assert service.execute("SELECT version_num FROM alembic_version").fetchone() == (head,)
        service.execute("INSERT INTO outbox (subject, payload) VALUES ('tried', '')")
        service.rollback()
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            service.execute("CREATE TABLE of_a_service (id int)")


def test_a_database_that_is_away_is_said_in_a_line() -> None:
    away = job("accounts", f"postgresql+psycopg://accounts_owner:secret@{ports.HOST}:{ports.free()}/none")
    said, error = away.communicate(timeout=SECONDS_MAX)
    assert (away.returncode, said) == (1, "")
    assert error.startswith("accounts: connection failed: ")
    assert "Traceback" not in error
    assert "secret" not in error


@pytest.mark.parametrize("arguments", [[], ["nobody"], ["accounts", "wallet"]])
def test_only_services_are_migrated(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert set(SERVICES) == set(conftest.SERVICES)
    assert main(arguments, {}) == 2
    assert "one of accounts, contacts, campaigns, wallet, sender" in capsys.readouterr().err


@pytest.mark.parametrize("environment", [{}, {"MIGRATION_DATABASE_URL": "somewhere"}])
def test_it_needs_to_be_told_where(environment: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["accounts"], environment) == 2
    assert "MIGRATION_DATABASE_URL" in capsys.readouterr().err


def test_what_it_can_not_do_is_said_in_a_line(owner_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A database of a later release is one that the Job of an older one meets when a release is undone."""
    stranger = {"MIGRATION_DATABASE_URL": owner_url.replace("test@", "secret@")}
    assert main(["accounts"], stranger) == 1
    said = capsys.readouterr().err
    assert "password authentication failed" in said
    assert "secret" not in said
    with psycopg.connect(plain(owner_url), autocommit=True) as connection:
        assert main(["accounts"], {"MIGRATION_DATABASE_URL": owner_url}) == 0
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    assert main(["accounts"], {"MIGRATION_DATABASE_URL": owner_url}) == 1
    assert "9999" in capsys.readouterr().err
