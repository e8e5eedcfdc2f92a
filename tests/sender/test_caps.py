"""Nobody gets more texts than the merchant allows, however many campaigns go out at once."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from astronote.accounts.v1 import accounts_pb2 as accounts
from astronote.accounts.v1.accounts_pb2_grpc import MerchantsServiceStub
from astronote.campaigns.v1.campaigns_pb2 import Report
from astronote.sender.v1.batches_pb2 import SendBatch
from services.sender.outcomes import Accepted, Unknown
from tests.conftest import TestMesh
from tests.sender.books import Books, database, rolled_back
from tests.sender.road import Shop, provider


def capped(books: Books, people: SendBatch, indexes: Sequence[int], texts: int) -> SendBatch:
    """Another batch to some of the people of one."""
    batch = books.batch(0)
    batch.recipients.extend(people.recipients[index] for index in indexes)
    batch.cap_texts, batch.cap_days = texts, 7
    return batch


@pytest.fixture
async def books(mesh: TestMesh) -> AsyncIterator[Books]:
    opened = database(mesh)
    async with rolled_back(opened) as books:
        yield books
    await opened.close()


async def test_what_is_about_to_be_sent_counts_as_well_as_what_was(books: Books) -> None:
    async def left_out(batch: SendBatch) -> tuple[str, frozenset[int]]:
        attempt_id = await books.attempt(batch, 0, len(batch.recipients))
        return attempt_id, await books.store.cap(attempt_id, batch, list(enumerate(batch.recipients)))

    people = books.batch(3)
    first, second = (capped(books, people, indexes, texts=2) for indexes in ([0, 1], [1, 2]))
    (one, nobody), (two, also_nobody) = await left_out(first), await left_out(second)
    assert not nobody | also_nobody
    # Two are on their way to the one in the middle.
    assert (await left_out(capped(books, people, [0, 1, 2], texts=2)))[1] == {1}
    await books.record(first, one, Accepted(["a", "b"]))
    await books.record(second, two, Unknown("died"))
    assert (await left_out(capped(books, people, [1], texts=2)))[1] == {0}
    assert (await left_out(capped(books, people, [1], texts=3)))[1] == set()


async def test_what_was_not_sent_does_not_count(books: Books) -> None:
    batch = capped(books, books.batch(1), [0], texts=1)
    for _ in range(2):
        attempt_id = await books.attempt(batch, 0, 1)
        assert await books.store.cap(attempt_id, batch, list(enumerate(batch.recipients))) == set()
        await books.store.not_sent(await books.store.lock_attempt(attempt_id), "429", counts=True)
        batch = capped(books, batch, [0], texts=1)


def is_over(report: Report) -> bool:
    return report.counts.targeted > 0 and report.counts.queued == 0


async def test_of_two_campaigns_at_once_everybody_gets_one(mesh: TestMesh) -> None:
    async with provider(mesh, {"latencyMs": 200}) as mitto:
        shop = await Shop.opened(mesh, 3)
        cap = accounts.Merchant(frequency_cap=accounts.FrequencyCap(texts_max=1, days=7))
        request = accounts.UpdateMerchantRequest(merchant=cap, update_mask=FieldMask(paths=["frequency_cap"]))
        await shop.call("accounts", MerchantsServiceStub, "UpdateMerchant", request)
        ids = await asyncio.gather(shop.send("First"), shop.send("Second"))
        reports = [await shop.report(id, is_over) for id in ids]
        assert sum(report.counts.accepted for report in reports) == 3
        assert sum(report.counts.skipped["frequency_cap"] for report in reports) == 3
        assert [len(mitto.accepted(phone)) for phone in shop.phones] == [1, 1, 1]
