"""Rounds of reports, evidence, records and expiries meet on the same rows all the time: none ever waits in a circle."""

import asyncio
import random
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import orjson
import pytest
from sqlalchemy import text

from kit.store import Database
from services.sender.delivery import Applier, Expirer
from services.sender.outcomes import Accepted, Unknown
from services.sender.reports import Body
from services.sender.store import SenderStore
from tests.conftest import TestMesh
from tests.sender import books
from tests.sender.books import Books

COUNT, ATTEMPTS, ORPHANS, ROUNDS = 30, 8, 400, 15
HOUR = 3600.0


@pytest.fixture(scope="module")
async def database(mesh: TestMesh) -> AsyncIterator[Database]:
    database = books.database(mesh)
    yield database
    await database.close()


class Crowd:
    """A campaign with accepted and unknown messages, and everything that may happen to them at once."""

    def __init__(self, database: Database) -> None:
        self._database, self._random = database, random.Random(7)
        self._applier = Applier(database, HOUR, HOUR)
        self._prefix = str(uuid.uuid4())
        self._orphans = [f"{self._prefix}-orphan{number}" for number in range(ORPHANS)]
        self._ids: list[str] = []
        self._first_known_id = self._first_unknown_id = 0

    async def open(self, store: SenderStore) -> Books:
        shop = Books(store)
        known, lost = shop.batch(COUNT), shop.batch(COUNT)
        self._ids = [f"{self._prefix}-{index}" for index in range(COUNT)]
        size = COUNT // ATTEMPTS
        for number in range(ATTEMPTS):
            ids = self._ids[number * size :][:size]
            await shop.record(known, await shop.attempt(known, number * size, size), Accepted(ids))
            await shop.record(lost, await shop.attempt(lost, number * size, size), Unknown("no answer"))
        self._first_known_id, self._first_unknown_id = known.first_message_id, lost.first_message_id
        return shop

    async def report(self) -> None:
        """Words on our messages, evidence, and second ids of messages that have one."""
        known = [{"messageId": id, "deliveryStatus": "Delivered"} for id in self._ids]
        second = [self._named("second", self._first_known_id + index) for index in range(COUNT)]
        proof = [self._named("proof", self._first_unknown_id + index) for index in range(COUNT)]
        for _ in range(ROUNDS):
            words = [item for kind in (known, second, proof) for item in self._random.sample(kind, 6)]
            await self._apply(words + self._early(20))

    async def report_early(self) -> None:
        """Words on messages that are not there."""
        for _ in range(ROUNDS):
            await self._apply(self._early(ORPHANS))

    def _early(self, count: int) -> list[dict[str, str]]:
        return [{"messageId": id, "deliveryStatus": "Sent"} for id in self._random.sample(self._orphans, count)]

    async def _apply(self, words: list[dict[str, str]]) -> None:
        self._random.shuffle(words)
        async with SenderStore.open_pipeline(self._database) as store:
            await self._applier.apply(store, [Body(0, orjson.dumps(words), datetime.now(UTC))])

    def _named(self, kind: str, message_id: int) -> dict[str, str]:
        id = f"{self._prefix}-{kind}-{message_id}"
        return {"messageId": id, "deliveryStatus": "Failure", "reference": str(message_id)}

    async def retry(self) -> None:
        for _ in range(ROUNDS):
            async with SenderStore.open_pipeline(self._database) as store:
                due = text(
                    "UPDATE parked_reports SET try_time = 'epoch', state = 'DELIVERED' WHERE provider_message_id = :id"
                )
                await store.connection.execute(due, {"id": self._random.choice(self._orphans)})
            await self._applier.parked_step()

    async def expire(self) -> None:
        expirer = Expirer(self._database, -HOUR, 0)
        for _ in range(ROUNDS):
            while await expirer.step():
                pass
            await asyncio.sleep(0.01)


async def test_no_round_waits_for_another_in_a_circle(database: Database) -> None:
    crowd = Crowd(database)
    async with SenderStore.open_pipeline(database) as store:
        shop = await crowd.open(store)
    work = [*[crowd.report] * 3, *[crowd.report_early] * 3, crowd.retry, crowd.expire]
    await asyncio.gather(*(each() for each in work))
    async with SenderStore.open_pipeline(database) as shop.store:
        await shop.check()
