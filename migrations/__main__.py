"""`python -m migrations SERVICE` brings a service's database to its newest version: rights first, then the migrations.

As the role that owns it, by `MIGRATION_DATABASE_URL`. Of two at once the second waits for the first, for ten minutes at
most. The code is 0 where the database is at its newest version then, 1 where it is not, 2 where nothing was tried.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from migrations import rights

INI = Path(__file__).parents[1] / "alembic.ini"
SERVICES = Config(str(INI)).file_config.sections()
# Any number that no other advisory lock of these databases uses.
LOCK, LOCK_SECONDS_MAX = 0x6D_69_67, 600


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    if len(arguments) != 1 or arguments[0] not in SERVICES:
        return _said(f"usage: python -m migrations SERVICE; one of {', '.join(SERVICES)}", 2)
    (service,) = arguments
    try:
        url = make_url(environment.get("MIGRATION_DATABASE_URL", ""))
    except ArgumentError:
        return _said("MIGRATION_DATABASE_URL: postgresql+psycopg://OWNER:PASSWORD@HOST/DATABASE is needed", 2)
    try:
        before, after = upgrade(service, url)
    except (psycopg.Error, CommandError) as error:
        return _said(f"{service}: {error}", 1)
    except DBAPIError as error:
        return _said(f"{service}: {error.orig}", 1)
    return _said(f"{service}: {before or 'nothing'} → {after}" if before != after else f"{service}: at {after}", 0)


def upgrade(service: str, url: URL) -> tuple[str | None, str | None]:
    """The versions before and after. Raises psycopg.Error, DBAPIError, and CommandError for a version of the future."""
    parts = {**url.translate_connect_args(username="user", database="dbname"), **url.query}
    with psycopg.connect(autocommit=True, connect_timeout=10, **parts) as connection:
        connection.execute(f"SET lock_timeout = '{LOCK_SECONDS_MAX}s'")
        connection.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        with connection.transaction():
            rights.give(connection, parts["dbname"], parts["user"], service, f"{service}_pipeline")
        config, before = Config(str(INI), ini_section=service), _version(connection)
        config.attributes["url"] = url
        command.upgrade(config, "head")
    return before, ScriptDirectory.from_config(config).get_current_head()


def _version(connection: psycopg.Connection[tuple[object, ...]]) -> str | None:
    if connection.execute("SELECT to_regclass('alembic_version')").fetchone() == (None,):
        return None
    found = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return str(found[0]) if found else None


def _said(line: str, code: int) -> int:
    (sys.stderr if code else sys.stdout).write(f"{line.strip()}\n")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
