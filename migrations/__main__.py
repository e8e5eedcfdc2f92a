"""`python -m migrations SERVICE` brings a service's database to its newest version: rights first, then the migrations.

As the role that owns it, by `MIGRATION_DATABASE_URL`. Of two at once the second waits for the first.
"""

import os
import sys
from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config
from sqlalchemy.engine import make_url

from migrations import rights

INI = Path(__file__).parents[1] / "alembic.ini"
# Any number that no other advisory lock of these databases uses.
LOCK = 0x6D_69_67


def main(service: str) -> None:
    url = make_url(os.environ["MIGRATION_DATABASE_URL"])
    parts = {**url.translate_connect_args(username="user", database="dbname"), **url.query}
    with psycopg.connect(autocommit=True, connect_timeout=10, **parts) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        with connection.transaction():
            rights.give(connection, parts["dbname"], parts["user"], service, f"{service}_pipeline")
        command.upgrade(Config(str(INI), ini_section=service), "head")


if __name__ == "__main__":
    main(*sys.argv[1:])
