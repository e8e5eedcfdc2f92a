"""Imports that are cut off, crash, lose their lease, or are very large: nothing is lost, doubled or in the way."""

import asyncio
from typing import Any

import grpc
import pytest
from sqlalchemy import text

from astronote.contacts.v1 import contacts_pb2 as pb
from kit.store import Database
from services.contacts import importing
from services.contacts.countries import Countries
from services.contacts.store import ContactsStore
from services.contacts.suppression import PhoneHash
from tests.contacts.client import Client, books, numbers, requests


async def test_an_upload_that_is_cut_off_leaves_nothing(book: Client):
    stored = asyncio.Event()

    async def endless() -> Any:
        async for request in requests([b"phone\n", *([numbers(50_000).encode()] * 4)]):
            yield request
        stored.set()
        await asyncio.sleep(60)

    call = await book.call("ImportContacts", endless())
    waiting = asyncio.ensure_future(_ended(call))
    await stored.wait()
    while not await book.count("import_chunks"):
        await asyncio.sleep(0.02)
    call.cancel()
    await waiting
    async with asyncio.timeout(10):
        while await book.count("import_chunks"):
            await asyncio.sleep(0.05)
    assert await book.count("imports") == await book.count("contacts") == 0


async def _ended(call: Any) -> None:
    with pytest.raises((grpc.aio.AioRpcError, asyncio.CancelledError)):
        await call


async def test_the_sweeper_drops_what_a_dead_process_left(book: Client, other: Client):
    chunk = "INSERT INTO import_chunks VALUES (gen_random_uuid(), 0, :merchant_id, '', now() - interval '{} hours')"
    await book.rows(chunk.format(25))
    await other.rows(chunk.format(23))
    assert not await importing.Sweeping(book.mesh.app("contacts").database).step()
    assert (await book.count("import_chunks"), await other.count("import_chunks")) == (0, 1)


class Interrupted(importing.Importing):
    """Dies at a given page: before it is committed, or right after."""

    def __init__(self, database: Database, hashed: PhoneHash, page: int, *, after_commit: bool) -> None:
        super().__init__(database, Countries.__new__(Countries), hashed)
        self._left, self._after_commit = page, after_commit

    async def _write(self, *arguments: Any) -> bool:
        self._left -= 1
        if self._left == 0 and self._after_commit:
            await super()._write(*arguments)
        if self._left == 0:
            raise asyncio.CancelledError
        return await super()._write(*arguments)


@pytest.mark.parametrize("after_commit", [False, True])
async def test_a_crash_resumes_at_the_last_page_and_counts_nothing_twice(
    book: Client, after_commit: bool, monkeypatch: pytest.MonkeyPatch
):
    await book.mesh.service("contacts")
    database = book.mesh.app("contacts").database
    monkeypatch.setattr(importing.sheet, "PAGE_ROWS", 500)
    monkeypatch.setattr("services.contacts.servicers.imports.WAIT_SECONDS", 0.0)
    # The running service is kept from the file by a lease that it does not have.
    hashed = PhoneHash("A" * 43)
    bad = "".join(f"bad{number}\n" for number in range(700))
    file = "phone\n" + numbers(2_000) + bad + numbers(1_300, 1_000)
    original = ContactsStore.add_import

    async def held(self: ContactsStore, values: dict[str, Any]) -> pb.Import:
        made = await original(self, values)
        later = text("UPDATE imports SET lease_expire_time = now() + interval '1 hour' WHERE id = :id")
        await self.connection.execute(later, {"id": made.id})
        return made

    monkeypatch.setattr(ContactsStore, "add_import", held)
    stored = await book.upload(file)
    free = "UPDATE imports SET lease_expire_time = now() - interval '1 hour' WHERE merchant_id = :merchant_id"
    deaths = 0
    for page in (1, 2, 3, 2):
        # Between two of ours the service's own job may take a turn, which changes nothing of what is asked here.
        await book.rows(free)
        try:
            await Interrupted(database, hashed, page, after_commit=after_commit).step()
        except asyncio.CancelledError:
            deaths += 1
    assert deaths > 0
    done = await book.over(stored)
    assert done.state == pb.Import.DONE
    assert books(done) == (4_000, 2_300, 0, 1_000, 700)
    assert await book.count("contacts") == sum(said["people_count"] for said in await book.ledger()) == 2_300
    assert len({row for row, *_ in await book.rejects(done.id)}) == 500
    assert await book.count("import_rejects") == 700


async def test_a_worker_that_lost_its_lease_writes_nothing(book: Client, monkeypatch: pytest.MonkeyPatch):
    done = await book.imported("phone\n+306900000001\n")
    await book.rows(
        "UPDATE imports SET state = 'RUNNING', lease_id = gen_random_uuid() WHERE merchant_id = :merchant_id"
        " AND id = :id",
        id=done.id,
    )
    database = book.mesh.app("contacts").database
    async with ContactsStore.open_pipeline(database) as store:
        with pytest.raises(importing.LeaseLost):
            await store.hold_import(done.id, "00000000-0000-0000-0000-000000000000")
    await book.rows("UPDATE imports SET state = 'DONE' WHERE merchant_id = :merchant_id")


async def test_a_file_that_no_turn_gets_anywhere_with_is_given_up(book: Client):
    done = await book.imported("phone\n+306900000001\n")
    again = "UPDATE imports SET state = 'PENDING', attempts = 20, lease_expire_time = now() WHERE id = :id"
    await book.rows(again, id=done.id)
    assert (await book.over(await book("GetImport", id=done.id))).failure == importing.TRIED


async def test_a_large_file_comes_in_while_others_are_served(book: Client, other: Client):
    count = 200_000
    rows = (f"+3069{number:08},Name{number},Επώνυμο{number},City{number % 100}\n" for number in range(count))
    stored = await book.upload("phone,first name,last name,city\n" + "".join(rows))
    # A small file does not wait for the large one.
    small = await other.imported("phone\n+306900000001\n")
    assert small.created == 1
    assert (await book("GetImport", id=stored.id)).state == pb.Import.RUNNING
    done = await book.over(stored)
    assert (done.state, books(done)) == (pb.Import.DONE, (count, count, 0, 0, 0))
    assert (await book("CountAudience", audience={"all": True})).count == count
    members = await book.audience("first_name", "attributes.city", page_size=5_000)
    phones = [member.phone for member in members]
    assert phones == sorted(set(phones))
    assert len(phones) == count
