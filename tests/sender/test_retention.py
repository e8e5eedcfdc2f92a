"""What was texted is forgotten when it is old: phone and words go; the books stay, and nothing is sent again."""

import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, text

from astronote.sender.v1.inbound_pb2 import InboundText
from kit.store import Database
from services.sender import outcomes
from services.sender.audit import TextRetention
from services.sender.inbound import Arrival
from services.sender.store import SenderStore
from services.sender.store.attempts import Lease
from services.sender.tables import arrivals
from tests.conftest import TestMesh
from tests.sender import books
from tests.sender.books import Books

DAY = 86400.0
NAMED = text('SELECT "to", text FROM messages WHERE campaign_id = :id ORDER BY id')
AGED = text("UPDATE batches SET advance_time = now() - make_interval(days => :days) WHERE id = :id")


@pytest.fixture
async def database(mesh: TestMesh) -> AsyncIterator[Database]:
    database = books.database(mesh)
    yield database
    await database.close()


async def named(opened: Books) -> list[tuple[str | None, str]]:
    found = await opened.store.connection.execute(NAMED, {"id": opened.campaign_id})
    return [tuple(row) for row in found]


async def test_an_old_batch_loses_phones_and_words_and_keeps_its_books(database: Database) -> None:
    async with books.rolled_back(database) as opened:
        store, batch = opened.store, opened.batch(3)
        accepted = outcomes.Accepted([uuid.uuid4().hex for _ in range(2)])
        await opened.record(batch, await opened.attempt(batch, 0, 2), accepted)
        await store.connection.execute(AGED, {"days": 500, "id": batch.batch_id})
        # A batch that is not done yet is not looked at, however old.
        assert await store.forget_texts(400 * DAY, 10, 10) == 0
        await opened.record(batch, await opened.attempt(batch, 2, 1), outcomes.Accepted([uuid.uuid4().hex]))
        await store.connection.execute(AGED, {"days": 399, "id": batch.batch_id})
        assert await store.forget_texts(400 * DAY, 10, 10) == 0
        assert len([to for to, words in await named(opened) if to and words]) == 3
        await store.connection.execute(AGED, {"days": 401, "id": batch.batch_id})
        assert await store.forget_texts(400 * DAY, 10, 10) == 1
        assert await named(opened) == [(None, "")] * 3
        assert await store.forget_texts(400 * DAY, 10, 10) == 0
        assert await opened.states(batch) == ["ACCEPTED"] * 3
        await opened.check()
        # Published again, it is not sent again.
        assert await store.take(batch, Lease(batch.batch_id, str(uuid.uuid4()), 60)) is None


async def test_a_round_is_bounded_and_takes_the_oldest_first(database: Database) -> None:
    async with books.rolled_back(database) as opened:
        store, batches = opened.store, [opened.batch(2) for _ in range(3)]
        for place, batch in enumerate(batches):
            accepted = outcomes.Accepted([uuid.uuid4().hex for _ in range(2)])
            await opened.record(batch, await opened.attempt(batch, 0, 2), accepted)
            await store.connection.execute(AGED, {"days": 500 - place, "id": batch.batch_id})
        left = 6
        for batches_max, messages_max, forgotten in ((10, 1, 1), (1, 10, 1), (10, 10, 1), (10, 10, 0)):
            assert await store.forget_texts(400 * DAY, batches_max, messages_max) == forgotten
            left -= 2 * forgotten
            assert len([to for to, _ in await named(opened) if to]) == left


async def test_texts_of_customers_go_when_they_are_old_and_obeyed(database: Database, merchant_id: str) -> None:
    texts = text("SELECT state FROM inbound_texts WHERE merchant_id = :merchant_id ORDER BY id")
    async with books.rolled_back(database) as opened:
        store = opened.store
        now = datetime.now(UTC)
        for days, state in ((401, "DONE"), (402, "REVIEW"), (403, "PENDING"), (399, "DONE")):
            key, received = uuid.uuid4().bytes, now - timedelta(days=days)
            await store.keep_arrivals([Arrival(key, "+306912345678", "", "Γεια", InboundText.OTHER, received)])
            arrival = (await store.connection.execute(select(arrivals).where(arrivals.c.key == key))).one()
            await store.add_inbound(arrival, merchant_id, InboundText.State.Value(state))
        assert await store.drop_inbound(400 * DAY, 1) == 1
        assert await store.drop_inbound(400 * DAY, 10) == 1
        left = await store.connection.execute(texts, {"merchant_id": merchant_id})
        assert list(left.scalars()) == ["PENDING", "DONE"]


async def test_for_ever_is_for_ever(database: Database, merchant_id: str) -> None:
    row = """
        INSERT INTO inbound_texts (merchant_id, key, phone, "to", text, kind, state, receive_time)
        VALUES (CAST(:m AS uuid), uuid_send(gen_random_uuid()), '+306912345678', '', 'Hi', 'OTHER', 'DONE', 'epoch')
    """
    count = text("SELECT count(*) FROM inbound_texts WHERE merchant_id = CAST(:m AS uuid)")
    async with SenderStore.open_pipeline(database) as store:
        await store.connection.execute(text(row), {"m": merchant_id})
    for seconds, left in ((0.0, 1), (400 * DAY, 0)):
        await TextRetention(database, seconds).step()
        async with SenderStore.open_pipeline(database) as store:
            assert await store.connection.scalar(count, {"m": merchant_id}) == left
