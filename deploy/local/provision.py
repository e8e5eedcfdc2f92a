"""Roles, databases and migrations of the services that own a database. Run at every start; all of it is idempotent.

Each service has three roles: `<service>_owner` owns the database and runs its migrations, `<service>` is bound by
row-level security, `<service>_pipeline` is exempt from it (its jobs work across merchants and use COPY).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config
from psycopg import sql
from psycopg.pq import TransactionStatus
from sqlalchemy.engine import URL, make_url

from migrations import rights

ROOT = Path(__file__).resolve().parents[2]
SUFFIXES = ("_owner", "", "_pipeline")
LOCK = 0x61_73_74_72_6F  # advisory, in the administrator's database: two at once would both create a role

Connection = psycopg.Connection[tuple[object, ...]]


@dataclass(frozen=True)
class Database:
    """One service's database: its name and three URLs (`postgresql+psycopg://…`), a role each."""

    name: str
    owner_url: str
    url: str
    pipeline_url: str


def role_names(services: Iterable[str]) -> list[str]:
    """Every role that needs a password: of each service its owner's, its own, its pipeline's."""
    return [f"{service}{suffix}" for service in services for suffix in SUFFIXES]


def provision(
    admin_url: str, services: Iterable[str], passwords: Mapping[str, str], prefix: str = "astronote_"
) -> dict[str, Database]:
    """Makes roles and databases, by service. `passwords` is by role; they are set anew each time. Tests that share a
    cluster choose prefixes of their own for the databases; migrations name roles.

    The administrator may create roles that bypass row-level security: a superuser, or CREATEDB, CREATEROLE and
    BYPASSRLS together. Raises psycopg.Error.
    """
    services = list(services)
    admin = make_url(admin_url)
    with _connect(admin) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        with connection.transaction():
            _roles(connection, role_names(services), passwords)
        _databases(connection, services, prefix)
    databases = {}
    for service in services:
        name, roles = f"{prefix}{service}", role_names([service])
        owner, url, pipeline = (_url(admin, name, role, passwords[role]) for role in roles)
        with _connect(make_url(owner)) as connection, connection.transaction():
            rights.give(connection, name, *roles)
        databases[service] = Database(name, owner, url, pipeline)
    return databases


def migrate(services: Mapping[str, Database], ini: Path = ROOT / "alembic.ini") -> None:
    """Brings each database to its newest version, one after the other: alembic's context is global."""
    for service, database in services.items():
        config = Config(str(ini), ini_section=service)
        config.attributes["url"] = database.owner_url
        command.upgrade(config, "head")


def _connect(url: URL) -> Connection:
    parts = {**url.translate_connect_args(username="user", database="dbname"), **url.query}
    return psycopg.connect(autocommit=True, connect_timeout=10, **parts)


def _url(admin: URL, database: str, role: str, password: str) -> str:
    url = admin.set(drivername="postgresql+psycopg", username=role, password=password, database=database)
    return url.render_as_string(hide_password=False)


def _names(connection: Connection, query: str) -> set[object]:
    return {row[0] for row in connection.execute(query)}


def _roles(connection: Connection, roles: Iterable[str], passwords: Mapping[str, str]) -> None:
    assert connection.info.transaction_status == TransactionStatus.INTRANS
    existing = _names(connection, "SELECT rolname FROM pg_roles")
    for role in roles:
        # Only the verifier travels: a password in a statement may end up in a log.
        verifier = connection.pgconn.encrypt_password(passwords[role].encode(), role.encode(), b"scram-sha-256")
        statement = sql.SQL("{} ROLE {} LOGIN NOCREATEDB NOCREATEROLE {} PASSWORD {}").format(
            sql.SQL("ALTER" if role in existing else "CREATE"),
            sql.Identifier(role),
            sql.SQL("BYPASSRLS" if role.endswith("_pipeline") else "NOBYPASSRLS"),
            sql.Literal(verifier.decode()),
        )
        connection.execute(statement)


def _databases(connection: Connection, services: Iterable[str], prefix: str) -> None:
    """No transaction: CREATE DATABASE refuses one."""
    existing = _names(connection, "SELECT datname FROM pg_database")
    superuser = connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone() == (True,)
    for service in services:
        if f"{prefix}{service}" in existing:
            continue
        name, owner = sql.Identifier(f"{prefix}{service}"), sql.Identifier(role_names([service])[0])
        if not superuser:  # a managed database's administrator must be a member of the owner to give it away
            connection.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(owner))
        # Copying files is six times as fast as logging pages (0.04 s each, fsync on), in a cluster that is idle.
        connection.execute(sql.SQL("CREATE DATABASE {} OWNER {} STRATEGY file_copy").format(name, owner))
