"""A real cluster: what it promises, what it survives, and what each role may do in it."""

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import grpc
import psycopg
import pytest
from psycopg import errors
from sqlalchemy.engine import make_url

from deploy.local import ports, postgres_runtime, provision
from deploy.local.errors import ChildFailedError
from deploy.local.mesh import Mesh
from deploy.local.postgres import Postgres
from tests.waiting import until

SERVICES = ("contacts", "wallet")
PASSWORDS = {role: f"{role} p@ss/word" for role in provision.role_names(SERVICES)}

MIGRATION_ENVIRONMENT = """
from alembic import context
from sqlalchemy import create_engine
engine = create_engine(context.config.attributes["url"])
with engine.begin() as connection:
    context.configure(connection=connection)
    context.run_migrations()
engine.dispose()
"""
MIGRATION = """
from alembic import op
revision, down_revision = "0001", None
def upgrade():
    op.execute("CREATE TABLE things (id bigint GENERATED ALWAYS AS IDENTITY, merchant text)")
    op.execute("ALTER TABLE things ENABLE ROW LEVEL SECURITY")
    op.execute("CREATE POLICY own ON things USING (merchant = current_setting('app.merchant', true))")
"""


def connect(url: str) -> psycopg.Connection[tuple[object, ...]]:
    parts = make_url(url).translate_connect_args(username="user", database="dbname")
    return psycopg.connect(**parts, autocommit=True)


def execute(url: str, statement: str) -> list[tuple[object, ...]]:
    with connect(url) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that another user can traverse to, which pytest's own are not."""
    with tempfile.TemporaryDirectory(prefix="astronote-") as name:
        Path(name).chmod(0o755)
        yield Path(name) / "postgres"


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with Postgres(tmp_path_factory.mktemp("data") / "postgres", erase=True) as server:
        yield server


@pytest.fixture(scope="module")
def ini(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An alembic.ini of the repository's shape, with one migration a service."""
    root = tmp_path_factory.mktemp("migrations")
    sections = [f"[{service}]\nversion_locations = {root}/{service}" for service in SERVICES]
    file = root / "alembic.ini"
    file.write_text(f"[DEFAULT]\nscript_location = {root}\npath_separator = os\n" + "\n".join(sections))
    (root / "env.py").write_text(MIGRATION_ENVIRONMENT)
    for service in SERVICES:
        (root / service).mkdir()
        (root / service / "0001.py").write_text(MIGRATION)
    return file


async def test_its_programs_run_beside_a_busy_grpc(folder: Path) -> None:
    """A fork would not: gRPC's threads hold what the child needs, and it dies by SIGSEGV two times in five."""
    runtime = postgres_runtime.prepare(folder)
    server = grpc.aio.server()
    port = server.add_insecure_port(f"{ports.HOST}:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"{ports.HOST}:{port}") as channel:

        async def ask() -> None:
            while True:
                with contextlib.suppress(grpc.aio.AioRpcError):  # there is no such method, which is an answer too
                    await channel.unary_unary("/a/b")(b"")

        asking = [asyncio.create_task(ask()) for _ in range(4)]
        done = [await asyncio.to_thread(runtime.run, "postgres", "--version") for _ in range(15)]
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
    await server.stop(None)
    assert [(run.returncode, run.stderr) for run in done] == [(0, "")] * 15


def test_durable_bounded_greek_and_local(postgres: Postgres) -> None:
    with connect(postgres.url()) as connection:
        shown = {
            name: connection.execute("SELECT current_setting(%s)", [name]).fetchone()[0]  # type: ignore[index]
            for name in ("fsync", "full_page_writes", "synchronous_commit", "listen_addresses", "max_connections")
        }
        greek = connection.execute("SELECT lower('ΣΤΟΠ'), 'ΑΒΓ' ILIKE 'αβγ'").fetchone()
        connection.execute("CREATE EXTENSION pg_trgm")
        trigrams = connection.execute("SELECT cardinality(show_trgm('ΑΒΓ'))").fetchone()
    assert shown == {
        "fsync": "on",
        "full_page_writes": "on",
        "synchronous_commit": "on",
        "listen_addresses": "127.0.0.1",
        "max_connections": "200",
    }
    assert greek == ("στοπ", True)
    assert trigrams == (4,)
    assert postgres.port < 32768


def test_nobody_gets_in_without_the_password(postgres: Postgres) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        connect(postgres.url(password="wrong"))
    with pytest.raises(psycopg.OperationalError, match="no password supplied"):
        psycopg.connect(host="127.0.0.1", port=postgres.port, user="postgres")


def test_data_and_password_outlive_a_restart(folder: Path) -> None:
    with Postgres(folder) as first:
        execute(first.url(), "CREATE TABLE kept AS SELECT 7 AS n")
        assert first.child
        log = first.child.log_file
    assert "database system is shut down" in log.read_text()
    with Postgres(folder) as second:
        assert execute(second.url(), "SELECT n FROM kept") == [(7,)]
    assert not (folder / "postgres.pid").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc, as does what is tested")
def test_killed_in_a_long_query_it_comes_back_on_its_port(folder: Path) -> None:
    with Postgres(folder) as postgres, contextlib.closing(connect(postgres.url())) as connection:
        assert postgres.child
        connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
        backend = connection.info.backend_pid
        # Busy, it does not notice that its postmaster died, and holds the shared memory.
        connection.pgconn.send_query(b"SELECT count(*) FROM generate_series(1, 100000000000)")
        killed = postgres.child.kill(signal.SIGKILL)
        until(lambda: postgres.child.pid != killed and postgres.answers())
        assert execute(postgres.url(), "SELECT n FROM kept") == [(7,)]
        with pytest.raises(FileNotFoundError):
            Path(f"/proc/{backend}/exe").readlink()
    assert postgres.child.pid == 0


def test_a_stale_lock_with_somebody_elses_number_is_no_obstacle(folder: Path) -> None:
    with Postgres(folder) as postgres:
        cluster = postgres.place / "cluster"
    lines = [str(os.getppid()), str(cluster), "1", "5432", "", "127.0.0.1", "", "ready"]
    (cluster / "postmaster.pid").write_text("\n".join(lines))
    with Postgres(folder) as postgres:
        assert postgres.answers()


def test_an_interrupted_initdb_is_begun_again(folder: Path) -> None:
    (folder / "cluster.new" / "base").mkdir(parents=True)
    (folder / "password").write_text("half")
    with Postgres(folder) as postgres:
        assert postgres.answers()


def test_what_cannot_start_says_why(folder: Path) -> None:
    with Postgres(folder) as postgres:
        cluster = postgres.place / "cluster"
    (cluster / "global" / "pg_control").unlink()
    broken = Postgres(folder)
    with pytest.raises(ChildFailedError, match="pg_control"):
        broken.start()
    assert broken.child
    assert broken.child.pid == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")
def test_as_root_private_folders_are_left_alone_and_the_data_moves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    shared = folder.parent / "shared"
    monkeypatch.setattr(postgres_runtime, "SHARED", shared)
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    with Postgres(private / "postgres") as postgres:
        execute(postgres.url(), "CREATE TABLE kept AS SELECT 7 AS n")
        assert postgres.place.parent == shared
        assert postgres.child
        assert Path(f"/proc/{postgres.child.pid}").stat().st_uid != 0
    with Postgres(private / "postgres", erase=True) as postgres:
        assert execute(postgres.url(), "SELECT n FROM kept") == [(7,)]
    assert list(shared.iterdir()) == []
    assert private.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")
def test_as_root_unreachable_binaries_are_copied(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setattr(postgres_runtime, "SHARED", folder.parent / "shared")
    reachable = postgres_runtime._runs
    monkeypatch.setattr(
        postgres_runtime, "_runs", lambda path, user: "site-packages" not in str(path) and reachable(path, user)
    )
    with Postgres(folder) as postgres:
        assert postgres.child
        assert postgres.child.program.command[0].startswith(str(folder.parent / "shared" / "runtime-"))


def test_provisioning_twice_keeps_data_and_sets_passwords(postgres: Postgres, ini: Path) -> None:
    provision.migrate(provision.provision(postgres.url(), SERVICES, PASSWORDS, "twice_"), ini)
    other = dict.fromkeys(PASSWORDS, "another")
    databases = provision.provision(postgres.url(), SERVICES, other, "twice_")
    provision.migrate(databases, ini)
    assert execute(databases["wallet"].url, "SELECT count(*) FROM things") == [(0,)]
    assert make_url(databases["wallet"].url).password == "another"


def test_each_role_may_do_its_own_and_no_more(postgres: Postgres, ini: Path) -> None:
    databases = provision.provision(postgres.url(), SERVICES, PASSWORDS, "rights_")
    provision.migrate(databases, ini)
    contacts, wallet = databases["contacts"], databases["wallet"]

    with connect(contacts.pipeline_url) as connection:  # across merchants, and with COPY and temporary tables
        connection.execute("CREATE TEMPORARY TABLE page (n int)")
        with connection.cursor().copy("COPY things (merchant) FROM STDIN") as copy:
            copy.write_row(["a"])
            copy.write_row(["b"])
        assert connection.execute("SELECT count(*) FROM things").fetchone() == (2,)

    assert execute(contacts.url, "SELECT count(*) FROM things") == [(0,)]  # no merchant set: no rows
    with connect(contacts.url) as connection:
        connection.execute("SET app.merchant = 'a'")
        connection.execute("INSERT INTO things (merchant) VALUES ('a')")
        assert connection.execute("UPDATE things SET merchant = 'a'").rowcount == 2
        assert connection.execute("DELETE FROM things").rowcount == 2
        with pytest.raises(errors.InsufficientPrivilege):
            connection.execute("TRUNCATE things")
        with pytest.raises(errors.InsufficientPrivilege):
            connection.execute("CREATE TABLE mine (n int)")
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        connect(str(make_url(contacts.url).set(database=wallet.name).render_as_string(hide_password=False)))


def test_an_administrator_who_is_no_superuser_will_do(postgres: Postgres) -> None:
    execute(postgres.url(), "CREATE ROLE manager LOGIN CREATEDB CREATEROLE BYPASSRLS PASSWORD 'manager'")
    admin = postgres.url(user="manager", password="manager")
    services = ["managed"]
    passwords = dict.fromkeys(provision.role_names(services), "secret")
    for _ in range(2):
        databases = provision.provision(admin, services, passwords)
    assert execute(databases["managed"].pipeline_url, "SELECT current_user") == [("managed_pipeline",)]


def test_processes_do_not_choose_the_same_port() -> None:
    chosen = [ports.free() for _ in range(50)]
    assert len(set(chosen)) == 50
    assert max(chosen) < 32768


def test_a_mesh_of_nothing_but_its_servers_holds_a_given_postgres(postgres: Postgres) -> None:
    given = postgres.url().replace("+psycopg", "")
    with Mesh.temporary(settings={"DATABASE_URL": given}, members=()) as mesh:
        assert set(mesh.children) == {"nats"}
