"""What was kept to know a repeat is forgotten when none can come."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text

from kit.retention import Retention
from kit.store import Database
from services.sender.store import SenderStore
from tests.conftest import TestMesh
from tests.sender import books


@pytest.fixture
async def database(mesh: TestMesh) -> AsyncIterator[Database]:
    database = books.database(mesh)
    yield database
    await database.close()


async def test_old_rows_go_in_bounded_rounds_and_young_ones_stay(database: Database, merchant_id: str) -> None:
    rows = """
        INSERT INTO inbox (key, create_time)
        SELECT :m || n, now() - n * interval '1 day' FROM generate_series(10, 18) n
    """
    requests = """
        INSERT INTO requests (merchant_id, method, request_id, request_hash, answer, create_time)
        SELECT CAST(:m AS uuid), 'Test', n::text, '', '', now() - n * interval '1 day' FROM generate_series(10, 15) n
    """
    async with SenderStore.open_pipeline(database) as store:
        for statement in (rows, requests):
            await store.connection.execute(text(statement), {"m": merchant_id})
    retention = Retention(database, SenderStore, rows_a_round=3)
    # 14 days to the microsecond is over by now: five keys and two requests are due.
    assert await retention.step()
    assert not await retention.step()
    async with SenderStore.open_pipeline(database) as store:
        left = text("SELECT key FROM inbox WHERE key LIKE :m || '%' ORDER BY key")
        keys = list((await store.connection.execute(left, {"m": merchant_id})).scalars())
        kept = text("SELECT request_id FROM requests WHERE merchant_id = CAST(:m AS uuid) ORDER BY request_id")
        ids = list((await store.connection.execute(kept, {"m": merchant_id})).scalars())
    assert keys == [f"{merchant_id}{day}" for day in (10, 11, 12, 13)]
    assert ids == ["10", "11", "12", "13"]
