"""The suppression key changes: every opt-out that was known under the old one is honoured under the new one."""

import asyncio
from typing import Any

import pytest

from astronote.contacts.v1 import contacts_pb2 as pb
from services.contacts import evidence
from services.contacts.suppression import PhoneHash
from tests.conftest import SETTINGS
from tests.contacts.client import Client, reason
from tests.contacts.test_consents import exported
from tests.contacts.test_suppression import ledger, may_be_texted, restore, state, withdraw

OLD = SETTINGS["contacts"]["suppression_key"]
NEW = "B" * 43
KEYS = f"{NEW},{OLD}"
STOPPED, GONE, CLICKED, SUBSCRIBED, MERGED, FRESH = (f"+30690000000{number}" for number in range(6))
UNSUBSCRIBED = pb.Contact.UNSUBSCRIBED


async def hashes(book: Client, table: str) -> set[bytes]:
    return {
        bytes(row[0]) for row in await book.rows(f"SELECT phone_hash FROM {table} WHERE merchant_id = :merchant_id")
    }


async def test_what_was_said_under_the_old_key_holds_under_the_new_one(book: Client):
    people = {phone: await book.create(phone) for phone in (STOPPED, GONE, CLICKED, SUBSCRIBED, MERGED)}
    for phone, source in ((STOPPED, "STOP"), (GONE, "STOP"), (CLICKED, "unsubscribe link")):
        await withdraw(book, source, phone=phone)
    for phone in (GONE, CLICKED):
        await book("DeleteContact", id=people[phone].id)
    await book("MergeContact", id=people[SUBSCRIBED].id, other_id=people[MERGED].id)
    async with book.mesh.with_settings("contacts", suppression_key=KEYS):
        new = PhoneHash(NEW)
        # The job comes through the books of all other tests on its way.
        async with asyncio.timeout(120):
            while await hashes(book, "contacts") != {new(STOPPED), new(SUBSCRIBED)}:
                await asyncio.sleep(0.02)
        assert [each.phone for each in await book.audience()] == [SUBSCRIBED]
        asked = [STOPPED, GONE, CLICKED, SUBSCRIBED, FRESH]
        refused = (await book("FilterTextable", phones=asked, allow_strangers=True)).refused_phones
        assert sorted(refused) == [STOPPED, GONE, CLICKED]
        # Nobody has the phones of who is gone, so theirs stay as they were until somebody brings them again.
        assert await hashes(book, "suppressions") == {new(STOPPED), PhoneHash(OLD)(GONE), PhoneHash(OLD)(CLICKED)}
        assert (await book.create(GONE)).subscription == UNSUBSCRIBED
        await book.imported(f"phone\n{CLICKED}\n{FRESH}\n")
        assert await state(book, CLICKED) == UNSUBSCRIBED
        assert await hashes(book, "suppressions") == {new(STOPPED), new(GONE), new(CLICKED)}
        assert [await restore(book, 1, phone) for phone in (STOPPED, GONE, CLICKED)] == [True, True, False]
        # The ledger can't be changed: what it says of a person is found under both.
        stopped = await book("ListConsents", contact_id=people[STOPPED].id)
        assert [each.source for each in stopped.consents] == ["merchant", "STOP", "START"]
        whole = await exported(book)
        for phone in (STOPPED, SUBSCRIBED):
            person = await exported(book, people[phone].id)
            evidence.hold(person, whole)
            assert person.people == {STOPPED: 3, SUBSCRIBED: 2}[phone]


async def aged(book: Client, phone: str) -> None:
    """As it was before the rotation, and where the job has not come yet."""
    old, new = PhoneHash(OLD)(phone), PhoneHash(NEW)(phone)
    for table in ("contacts", "suppressions"):
        statement = f"UPDATE {table} SET phone_hash = :old WHERE merchant_id = :merchant_id AND phone_hash = :new"
        await book.rows(statement, old=old, new=new)


async def test_what_is_said_before_the_book_is_rehashed_holds_too(book: Client, other: Client):
    async with book.mesh.with_settings("contacts", suppression_key=KEYS):
        for phone in (STOPPED, CLICKED, GONE, MERGED, SUBSCRIBED):
            await book.create(phone)
            await aged(book, phone)
        for phone, source in ((STOPPED, "STOP"), (CLICKED, "unsubscribe link"), (MERGED, "STOP")):
            assert await withdraw(book, source, phone=phone)
            assert not await may_be_texted(book, phone)
            await aged(book, phone)
            # Again, and an import over it: nothing doubles, nobody comes back.
            assert not await withdraw(book, source, phone=phone)
            await aged(book, phone)
            await book.imported(f"phone,first_name\n{phone},Α\n", on_duplicate=pb.ImportContactsRequest.UPDATE)
            assert not await may_be_texted(book, phone)
            await aged(book, phone)
        by_phone = {person.phone: person for person in await book.book()}
        back = book.update(by_phone[STOPPED].id, subscription=pb.Contact.SUBSCRIBED)
        assert await reason(back) == "OPTED_OUT"
        assert not await restore(book, 1, CLICKED)
        assert await restore(book, 1, STOPPED)
        assert await may_be_texted(book, STOPPED)
        merged = await book("MergeContact", id=by_phone[SUBSCRIBED].id, other_id=by_phone[MERGED].id)
        assert merged.subscription == UNSUBSCRIBED
        await book("EraseContact", id=by_phone[GONE].id)
        await aged(book, GONE)
        assert (await book.create(GONE)).subscription == UNSUBSCRIBED
        new = PhoneHash(NEW)
        assert await hashes(book, "suppressions") == {new(phone) for phone in (CLICKED, MERGED, SUBSCRIBED, GONE)}
        assert len(await ledger(book)) == await book.count("consents")
        # Where an older and a newer one meet, the firmer stays, and one is left.
        statement = "INSERT INTO suppressions (merchant_id, phone_hash, source) VALUES (:merchant_id, :hash, :source)"
        await other.rows(statement, hash=PhoneHash(OLD)(FRESH), source="unsubscribe link")
        await other.rows(statement, hash=new(FRESH), source="STOP")
        assert not await restore(other, 9, FRESH)
        assert await hashes(other, "suppressions") == {new(FRESH)}


@pytest.mark.parametrize("keys", ["", "A" * 42, f"{NEW},", f"{NEW};{OLD}"])
def test_what_is_no_key_stops_the_service(keys: str):
    with pytest.raises(ValueError, match=r"SUPPRESSION_KEY|padding|base64"):
        PhoneHash(keys)


def test_the_first_key_hashes_and_all_are_looked_under():
    both: Any = PhoneHash(f"{NEW}, {OLD}")
    assert both(FRESH) == PhoneHash(NEW)(FRESH) != PhoneHash(OLD)(FRESH)
    assert both.all(FRESH) == [PhoneHash(NEW)(FRESH), PhoneHash(OLD)(FRESH)]
    assert (both.is_one, PhoneHash(NEW).is_one) == (False, True)
