"""Whether the database has what this code was written for.

A migration only adds, so a newer database serves older code (docs/deployment.md, "Upgrading"). An older one does not
serve newer code: the service waits for the migrations, says so, and is not ready until they have run.
"""

import asyncio
from pathlib import Path

import structlog
from sqlalchemy import text

from kit.boundary import guarded
from kit.store import Database

# The migrations come with the code.
HISTORIES = Path(__file__).parents[1] / "migrations"
LOOK_SECONDS = 1.0
KNOWN = text("SELECT to_regclass('alembic_version') IS NOT NULL")
FOUND = text("SELECT version_num FROM alembic_version")
log = structlog.get_logger()


def newest(service: str) -> str:
    """The revision that the service's code was written for."""
    return max(path.name[:4] for path in (HISTORIES / service).glob("[0-9]*.py"))


async def migrated(database: Database, service: str) -> None:
    """Returns when the database is at least as new as the code."""
    expected, found = newest(service), ""

    async def look() -> None:
        nonlocal found
        async with database.pipeline.connect() as connection:
            found = (await connection.scalar(FOUND) if await connection.scalar(KNOWN) else None) or "none"

    while await guarded("schema", look()) is not None or found == "none" or found < expected:
        log.error("the schema is older than the code: not ready", expected=expected, found=found)
        await asyncio.sleep(LOOK_SECONDS)
