"""Reports that came before their message are tried when their time comes, not when somebody looks."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import delete

from kit.store import Database
from services.sender.delivery import Applier
from services.sender.reports import Report
from services.sender.store import SenderStore
from services.sender.tables import parked_reports
from tests.conftest import TestMesh
from tests.sender import books

HOUR = 3600.0


@pytest.fixture
async def database(mesh: TestMesh) -> AsyncIterator[Database]:
    database = books.database(mesh)
    yield database
    async with SenderStore.open_pipeline(database) as store:
        await store.connection.execute(delete(parked_reports))
    await database.close()


async def test_what_is_parked_wakes_its_job_when_it_is_due(database: Database) -> None:
    applier, report = Applier(database, HOUR, HOUR), Report(str(uuid.uuid4()), "DELIVERED", datetime.now(UTC), "", None)
    assert not await applier.parked_step()
    async with SenderStore.open_pipeline(database) as store:
        await store.park([report], HOUR)
    for _ in range(3):
        await applier.parked_step()
        assert not await applier.parked_step()
        async with asyncio.timeout(20):
            await applier.parked.wait()
        applier.parked.clear()
