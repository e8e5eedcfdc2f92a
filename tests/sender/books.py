"""Batches and attempts as the send path leaves them, in a transaction that nobody else sees."""

import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import delete, func, select, text

from astronote.sender.v1.batches_pb2 import BatchRecipient, SendBatch
from kit.store import Database
from services.sender import outcomes
from services.sender.outcomes import Outcome
from services.sender.reports import Applied, Report
from services.sender.settings import Settings
from services.sender.store import SenderStore
from services.sender.store.attempts import Lease
from services.sender.tables import parked_reports, settlements, tallies, webhooks
from tests.conftest import KEYS, PUBLIC_KEYS, SETTINGS, TestMesh

LEASE_SECONDS = 60


def database(mesh: TestMesh) -> Database:
    """The sender's, without the sender: no job of it runs."""
    urls = mesh.database("sender")
    keys = {"mesh_private_key": KEYS["sender"].private, "mesh_public_keys": PUBLIC_KEYS, "nats_url": ""}
    settings = Settings(database_url=urls.url, pipeline_database_url=urls.pipeline_url, **keys, **SETTINGS["sender"])
    return Database(settings, "sender")


@asynccontextmanager
async def rolled_back(database: Database) -> AsyncIterator["Books"]:
    async with SenderStore.open_pipeline(database) as store:
        # What another test left unheard would hold up whatever is to expire here.
        await store.connection.execute(delete(webhooks))
        await store.connection.execute(delete(parked_reports))
        yield Books(store)
        await store.driver.rollback()


class Books:
    """A campaign of its own; message i of a batch costs i + 1 credits."""

    def __init__(self, store: SenderStore) -> None:
        self.store = store
        self.merchant_id, self.campaign_id = str(uuid.uuid4()), str(uuid.uuid4())

    def batch(self, count: int) -> SendBatch:
        batch = SendBatch(campaign_id=self.campaign_id, merchant_id=self.merchant_id, hold_id=self.campaign_id)
        batch.batch_id = uuid.uuid4().int >> 83
        batch.first_message_id = batch.batch_id << 17
        for index in range(count):
            person = BatchRecipient(contact_id=uuid.uuid4().bytes, phone=f"+3069{index:08d}", text=f"Hi {index}")
            person.segments, person.credits = 1, index + 1
            batch.recipients.append(person)
        return batch

    async def attempt(self, batch: SendBatch, first: int, count: int) -> str:
        """Takes the batch and says that `count` of it, from `first` on, are about to be submitted."""
        lease, id = Lease(batch.batch_id, str(uuid.uuid4()), LEASE_SECONDS), str(uuid.uuid4())
        if first == 0:
            assert await self.store.take(batch, lease)
        else:
            row = await self.store.batch(lease)
            lease = Lease(batch.batch_id, row.lease_id, LEASE_SECONDS)
        await self.store.begin_attempt(id, batch, lease, count)
        return id

    async def record(self, batch: SendBatch, attempt_id: str, outcome: Outcome) -> None:
        attempt = await self.store.lock_attempt(attempt_id)
        state = "ACCEPTED" if isinstance(outcome, outcomes.Accepted) else "UNKNOWN"
        results = outcomes.results(outcome, self.submitted(batch, attempt))
        await self.store.record(attempt, state, "", batch, results)

    def submitted(self, batch: SendBatch, attempt: Any) -> Sequence[tuple[int, BatchRecipient]]:
        return list(enumerate(batch.recipients))[attempt.first_index :][: attempt.recipient_count]

    async def accept_late(self, batch: SendBatch, attempt_id: str, ids: Sequence[str]) -> None:
        attempt = await self.store.lock_attempt(attempt_id)
        if attempt.state == "UNKNOWN":
            results = outcomes.results(outcomes.Accepted(ids), self.submitted(batch, attempt))
            await self.store.accept_late(attempt, batch, results)

    async def expire(self, attempt_id: str) -> None:
        await self.store.close_attempt(await self.store.lock_attempt(attempt_id))

    async def apply(self, *reports: Report) -> Applied:
        applied = await self.store.apply_reports(reports)
        await self.store.park(applied.absent, 60)
        return applied

    async def apply_parked(self) -> None:
        """Time stands still in a transaction, so what is parked is made due."""
        for _ in range(3):
            mine = text("UPDATE parked_reports SET try_time = 'epoch'")
            await self.store.connection.execute(mine)
            parked = await self.store.take_parked(5000)
            applied = await self.store.apply_reports(parked)
            await self.store.unpark(parked, applied.absent, datetime.min.replace(tzinfo=UTC))

    async def open(self, batch: SendBatch, index: int) -> str:
        """Somebody opens the link of a message; the state that it had."""
        return await self.store.apply_open(self.merchant_id, batch.first_message_id + index, datetime.now(UTC))

    async def forget_parked(self) -> None:
        await self.store.connection.execute(delete(parked_reports))

    async def states(self, batch: SendBatch) -> list[str]:
        query = text("SELECT state FROM messages WHERE id BETWEEN :first AND :last ORDER BY id")
        ids = {"first": batch.first_message_id, "last": batch.first_message_id + len(batch.recipients) - 1}
        return list((await self.store.connection.execute(query, ids)).scalars())

    async def tally(self) -> Any:
        query = select(tallies).where(tallies.c.campaign_id == self.campaign_id)
        return (await self.store.connection.execute(query)).one()

    async def settled(self) -> tuple[int, int]:
        """Captured and released, as the wallet will hear it."""
        sums = func.coalesce(func.sum(settlements.c.capture), 0), func.coalesce(func.sum(settlements.c.release), 0)
        query = select(*sums).where(settlements.c.hold_id == self.campaign_id)
        captured, released = (await self.store.connection.execute(query)).one()
        return captured, released

    async def check(self) -> None:
        """The books agree: tally, recount, settlements."""
        before = uuid.UUID(int=uuid.UUID(self.merchant_id).int - 1)
        recounted = await self.store.recount_after(str(before))
        assert recounted is not None
        assert (recounted.merchant_id, recounted.wrong) == (self.merchant_id, [])
        tally = await self.tally()
        assert await self.settled() == (tally.credits_captured, tally.credits_released)
