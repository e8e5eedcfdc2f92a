"""What is said of consents gets its link behind those who said it: nothing is lost, passed over or linked twice."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from astronote.contacts.v1.consents_pb2 import Consent
from kit.store import Database
from services.contacts.consent import Origin, Statement
from services.contacts.linking import OLDEST_SECONDS, Linking
from services.contacts.store import ContactsStore, linking
from tests.contacts.client import Client
from tests.contacts.test_consents import exported

PHONES = [f"+30690000000{number}" for number in range(6)]


def said(source: str) -> Statement:
    return Statement(Consent.GRANTED, source, Consent.CONSENT)


async def database(book: Client) -> Database:
    await book.mesh.service("contacts")
    return book.mesh.app("contacts").database


@asynccontextmanager
async def chain_in_other_hands(book: Client) -> AsyncIterator[ContactsStore]:
    """As by a process that stands still in the middle of linking."""
    async with ContactsStore.open(await database(book), book.merchant_id) as store:
        await store.driver.execute(linking.LOCK, {"merchant_id": book.merchant_id})
        yield store


async def linked(book: Client) -> None:
    async with asyncio.timeout(20):
        while await book.count("unlinked_consents"):
            await asyncio.sleep(0.02)


async def test_the_job_links_what_nobody_asks_for(book: Client):
    for phone in PHONES:
        await book.create(phone)
    await linked(book)
    assert (await book.count("consents"), await book.count("consent_people")) == (6, 6)


async def test_nobody_waits_for_the_chain(book: Client):
    async with chain_in_other_hands(book):
        person = await book.create(PHONES[0])
        assert (await book("WithdrawConsent", phone=person.phone, source="STOP")).changed
        asked = asyncio.create_task(book("ListConsents", contact_id=person.id))
        await book.imported("phone\n" + "\n".join(PHONES[1:]))
        assert await book.count("consents") == 0
    # Who asks waits, and finds all that was said before.
    assert [each.event for each in (await asked).consents] == [Consent.GRANTED, Consent.WITHDRAWN]
    assert (await exported(book)).people == 7


async def test_what_is_committed_late_is_not_passed_over(book: Client):
    async with ContactsStore.open(await database(book), book.merchant_id) as late:
        await late.note_consents(said("late"), [(None, b"1" * 16)])
        await book.create(PHONES[0])
        assert [each["source"] for each in await book.ledger()] == ["merchant"]
    await book.create(PHONES[1])
    ledger = await book.ledger()
    assert [(each["number"], each["source"]) for each in ledger] == [(1, "merchant"), (2, "late"), (3, "merchant")]


async def test_a_death_in_the_middle_leaves_all_of_it_waiting(book: Client):
    async with chain_in_other_hands(book) as store:
        for phone in PHONES[:3]:
            await book.create(phone)
        await store.link([book.merchant_id])
        assert (await store.consent_head())[0] == 3
        await store.driver.rollback()
    assert await book.count("consents") == 0
    assert (await exported(book)).head[0] == 3


async def test_processes_that_link_at_once_make_one_chain(book: Client, other: Client, monkeypatch):
    monkeypatch.setattr(linking, "STATEMENTS_A_ROUND", 2)
    monkeypatch.setattr(linking, "PEOPLE_A_ROUND", 3)
    job = Linking(await database(book))

    async def until_none() -> None:
        while await job.step():
            pass

    file = "phone\n" + "\n".join(PHONES[1:])
    work = [each.create(PHONES[0]) for each in (book, other)] + [each.imported(file) for each in (book, other)]
    await asyncio.gather(*work, *(until_none() for _ in range(4)))
    for each in (book, other):
        found = await exported(each)
        assert (len(found.links), found.people) == (2, 6)
    assert await book.count("consents") == await other.count("consents") == 2


async def test_how_long_the_oldest_waits_is_told(book: Client):
    job = Linking(await database(book))
    async with chain_in_other_hands(book):
        await book.create(PHONES[0])
        await job.step()
        waited = OLDEST_SECONDS._value.get()
        await job.step()
        assert 0 < waited < OLDEST_SECONDS._value.get()
    await book.ledger()
    await job.step()
    assert OLDEST_SECONDS._value.get() == 0


async def test_nobody_changes_or_drops_what_waits_not_even_its_owner(book: Client):
    table = "unlinked_consents"
    statements = (f"UPDATE {table} SET source = ''", f"DELETE FROM {table}", f"TRUNCATE {table}")
    async with chain_in_other_hands(book):
        await book.create(PHONES[0])
        await book.nobody_may(statements)
        assert await book.count("unlinked_consents") == 1


async def test_an_erasure_takes_the_origin_that_still_waits(book: Client):
    """Whether or not its link is there yet."""
    person = await book.create(PHONES[0])
    async with ContactsStore.open(await database(book), book.merchant_id) as store:
        statement = Statement(Consent.REQUESTED, "form", origin=Origin("192.0.2.7", "Firefox", b"salt"))
        await store.note_consents(statement, [(person.id, b"1" * 16)])
    await book("EraseContact", id=person.id)
    assert (await book.count("consent_origins"), await book.count("unlinked_consents")) == (0, 0)
    (body,) = await book.stream("ExportConsents")
    assert b"192.0.2.7" not in body.data
