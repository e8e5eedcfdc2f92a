"""A migration runs beside code that does not know it yet (docs/deployment.md, "Upgrading"), so it only adds; and code
waits for the migrations that it was written for.
"""

import asyncio
import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from structlog.testing import capture_logs

from kit import schema
from tests.conftest import SERVICES, TestMesh

ROOT = Path(__file__).parents[1]
# What stands up to these was made before there was anything that had to be kept running.
EARLIER = {"accounts": "0002", "contacts": "0005", "campaigns": "0010", "wallet": "0006", "sender": "0001"}
#: What takes something away, by service: the revision, and the release that does not use it any more.
CONTRACTS: dict[str, dict[str, str]] = {service: {} for service in SERVICES}
TAKES_AWAY = re.compile(
    r"DROP (TABLE|SCHEMA|TYPE|SEQUENCE)|TRUNCATE"
    r"|ALTER TABLE .*\b(DROP COLUMN|RENAME|SET NOT NULL|ALTER COLUMN \w+ TYPE)\b"
)
# An older release writes rows without it.
ASKS_FOR_MORE = re.compile(r"ALTER TABLE \w+ ADD COLUMN (?!.*\bDEFAULT\b).*\bNOT NULL\b")
# An older release may write what it refuses; not so what is about a new column, or a new table.
BINDS = re.compile(
    r"ALTER TABLE (\w+) ADD (?:CONSTRAINT|PRIMARY|FOREIGN|UNIQUE|CHECK)|CREATE UNIQUE INDEX \w+ ON (\w+)"
)


def migrations(service: str) -> Iterator[tuple[str, list[str]]]:
    """Each revision with its statements, as they would be run."""
    written = io.StringIO()
    config = Config(str(ROOT / "alembic.ini"), ini_section=service, output_buffer=written)
    command.upgrade(config, f"{EARLIER[service]}:head", sql=True)
    _, *parts = re.split(r"-- Running upgrade \w* -> (\w+)\n", written.getvalue())
    for revision, statements in zip(parts[::2], parts[1::2], strict=True):
        yield revision, [" ".join(each.split()) for each in statements.split(";\n")]


def objections(statements: list[str]) -> list[str]:
    """Statements that the code of the release before might not bear."""
    tables = {found[1] for each in statements if (found := re.match(r"CREATE TABLE (\w+)", each))}
    columns = {found[1] for each in statements if (found := re.match(r"ALTER TABLE \w+ ADD COLUMN (\w+)", each))}

    def binds(statement: str) -> bool:
        bound = BINDS.match(statement)
        return (
            bound is not None and not tables & {bound[1], bound[2]} and not columns & set(re.findall(r"\w+", statement))
        )

    return [each for each in statements if TAKES_AWAY.match(each) or ASKS_FOR_MORE.match(each) or binds(each)]


@pytest.mark.parametrize("service", SERVICES)
def test_a_migration_only_adds(service: str) -> None:
    found = dict(migrations(service))
    assert found
    for revision, statements in found.items():
        assert revision in CONTRACTS[service] or objections(statements) == [], f"{service} {revision}"


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE contacts DROP COLUMN email",
        "ALTER TABLE contacts RENAME first_name TO given_name",
        "ALTER TABLE contacts ALTER COLUMN first_name SET NOT NULL",
        "ALTER TABLE contacts ALTER COLUMN first_name TYPE VARCHAR(3)",
        "ALTER TABLE contacts ADD COLUMN shoe_size INTEGER NOT NULL",
        "ALTER TABLE contacts ADD CONSTRAINT short CHECK (length(first_name) < 3)",
        "CREATE UNIQUE INDEX one ON contacts (first_name)",
        "DROP TABLE contacts",
    ],
)
def test_what_older_code_would_not_bear_is_noticed(statement: str) -> None:
    assert objections([statement]) == [statement]


def test_what_is_new_binds_nobody() -> None:
    column = "ALTER TABLE contacts ADD COLUMN nickname TEXT"
    assert objections([column, "CREATE UNIQUE INDEX one ON contacts (nickname)"]) == []
    assert (
        objections(["CREATE TABLE pets (id UUID NOT NULL)", "ALTER TABLE pets ADD CONSTRAINT one CHECK (id <> '')"])
        == []
    )


async def test_code_waits_for_its_schema_and_says_so(mesh: TestMesh, monkeypatch: pytest.MonkeyPatch) -> None:
    await mesh.service("accounts")
    expected = schema.newest("accounts")
    monkeypatch.setattr(schema, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(schema, "newest", lambda _: "9999")
    with capture_logs() as logs:
        starting = asyncio.create_task(schema.migrated(mesh.app("accounts").database, "accounts"))
        async with asyncio.timeout(20):
            # Other services of this process log too.
            while not any({"expected": "9999", "found": expected}.items() <= log.items() for log in logs):
                await asyncio.sleep(0.01)
        assert not starting.done()
        starting.cancel()
    monkeypatch.undo()
    # What is newer than the code has all that the code needs.
    monkeypatch.setattr(schema, "newest", lambda _: "0001")
    await schema.migrated(mesh.app("accounts").database, "accounts")
