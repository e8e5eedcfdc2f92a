"""What is held about a person is shown in full, and forgotten where the merchant says so."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from astronote.contacts.v1.consents_pb2 import Consent
from astronote.contacts.v1.privacy_pb2 import Erasure
from services.contacts.erasing import RejectRetention
from tests.contacts.client import Client, reason

PHONE = "+306912345678"


@pytest.fixture(scope="module")
async def quick(mesh: Any) -> AsyncIterator[None]:
    """Rounds of erasure without a pause, and those who are asked."""
    async with mesh.with_settings("contacts", erasure_pause_seconds=0.0):
        await mesh.service("sender")
        await mesh.service("campaigns")
        yield


async def erased(book: Client, id: str) -> Erasure:
    erasure = await book("EraseContact", id=id)
    async with asyncio.timeout(30):
        while erasure.state == Erasure.PENDING:
            await asyncio.sleep(0.05)
            erasure = await book("EraseContact", id=id)
    return erasure


async def test_everything_that_is_held_is_shown(book: Client, quick: None):
    person = await book.create(PHONE, first_name="Μαρία", attributes={"city": "Αθήνα"}, tags=["vip"])
    members = await book("CreateList", list={"name": "VIP"})
    await book("AddListContacts", id=members.id, contact_ids=[person.id])
    activity = "INSERT INTO activities (merchant_id, contact_id, text_time) VALUES (:merchant_id, :id, '2026-03-01Z')"
    await book.rows(activity, id=person.id)
    bodies = await book.stream("ExportContact", id=person.id)
    assert {body.content_type for body in bodies} == {"application/json"}
    held = json.loads(b"".join(body.data for body in bodies))
    assert (held["contact"]["firstName"], held["contact"]["attributes"]) == ("Μαρία", {"city": "Αθήνα"})
    assert [each["name"] for each in held["lists"]] == ["VIP"]
    assert [each["event"] for each in held["consents"]] == ["GRANTED"]
    assert (held["messages"], held["answers"], held["responses"]) == ([], [], [])
    assert (held["activity"], held["isSuppressed"]) == ({"text_time": "2026-03-01T00:00:00+00:00"}, False)


async def test_an_erased_person_is_gone_and_stays_out_of_every_audience(book: Client, quick: None):
    person = await book.create(PHONE, first_name="Μαρία")
    done = await erased(book, person.id)
    assert (done.state, done.contact_id, done.finish_time.seconds > 0) == (Erasure.DONE, person.id, True)
    assert await reason(book("GetContact", id=person.id)) == "CONTACT_NOT_FOUND"
    assert await reason(book.stream("ExportContact", id=person.id)) == "CONTACT_NOT_FOUND"
    # An old file brings the phone back, and nobody into an audience.
    await book.imported(f"phone\n{PHONE}\n")
    (back,) = await book.book()
    assert await book.audience() == []
    events = [each.event for each in (await book("ListConsents", contact_id=back.id)).consents]
    assert events == [Consent.GRANTED, Consent.WITHDRAWN]
    assert await book.rows("SELECT 1 FROM erasures WHERE merchant_id = :merchant_id AND phone <> ''") == []
    # Who comes back may go again.
    assert (await erased(book, back.id)).state == Erasure.DONE


async def test_erasing_twice_at_once_is_erasing_once(book: Client, quick: None):
    person = await book.create(PHONE)
    answers = await asyncio.gather(*(book("EraseContact", id=person.id) for _ in range(5)), return_exceptions=True)
    assert any(isinstance(answer, Erasure) for answer in answers)
    assert await book.count("erasures") == 1
    assert (await erased(book, person.id)).state == Erasure.DONE


async def test_another_merchants_person_is_not_erased(book: Client, other: Client, quick: None):
    person, theirs = await book.create(PHONE, first_name="Μαρία"), await other.create(PHONE, first_name="Μαρία")
    assert await reason(other("EraseContact", id=person.id)) == "CONTACT_NOT_FOUND"
    assert await reason(book("EraseContact", id="7")) == "CONTACT_NOT_FOUND"
    await erased(book, person.id)
    assert await reason(other("EraseContact", id=person.id)) == "CONTACT_NOT_FOUND"
    assert await other("GetContact", id=theirs.id) == theirs
    assert (await other("FilterTextable", phones=[PHONE])).refused_phones == []


async def test_a_rejected_row_that_shows_the_person_goes_too(book: Client, quick: None):
    person = await book.create(PHONE, email="maria@example.gr")
    done = await book.imported("phone\nmaria@example.gr\nyannis@example.gr\n")
    await erased(book, person.id)
    assert [value for _, _, value, _ in await book.rejects(done.id)] == ["yannis@example.gr"]


async def test_rejected_rows_are_kept_for_a_while_only(book: Client):
    old, new = [await book.imported("phone\nx\ny\n") for _ in range(2)]
    later = "UPDATE imports SET finish_time = now() - interval '31 days' WHERE merchant_id = :merchant_id AND id = :id"
    await book.rows(later, id=old.id)
    assert not await RejectRetention(book.mesh.app("contacts").database, 30 * 86_400).step()
    assert (await book.rejects(old.id), len(await book.rejects(new.id))) == ([], 2)
