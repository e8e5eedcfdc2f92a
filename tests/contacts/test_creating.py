"""Contacts that are made one by one and come together: one transaction, and to each an answer of its own."""

import asyncio
import random
from collections.abc import Awaitable
from datetime import date
from typing import Any
from uuid import UUID

import pytest

from astronote.contacts.v1.consents_pb2 import Consent
from astronote.contacts.v1.contacts_pb2 import Contact
from astronote.contacts.v1.events_pb2 import ContactCreated, TagAdded
from services.contacts import contact, fields, search
from services.contacts.consent import Statement, grant
from services.contacts.creating import ALONE_MAX, PATIENT_MAX, Creating, New
from services.contacts.errors import PhoneTaken
from services.contacts.store import ContactsStore
from services.contacts.suppression import PhoneHash
from tests.conftest import SETTINGS
from tests.contacts.client import Client

HASHED = PhoneHash(SETTINGS["contacts"]["suppression_key"])
TILL, WEB = grant("till", "Yes, text me.", Consent.CONSENT), grant("web", "", Consent.SOFT_OPT_IN)
PHONES = [f"+3069100{number:05}" for number in range(40)]


def new(phone: str, said: Statement = TILL, **given: Any) -> New:
    person = Contact(**{"phone": phone, "subscription": Contact.SUBSCRIBED} | given)
    values = contact.values(person, contact.WRITABLE, date(2026, 1, 1))
    found_by = search.search_text(person.first_name, person.last_name, phone, person.email)
    return New(values | {"phone": phone, "phone_hash": HASHED(phone), "search": found_by}, said)


@pytest.fixture
async def creating(book: Client) -> Creating:
    await book.mesh.service("contacts")
    return Creating(book.mesh.app("contacts").database, HASHED)


async def together(calls: list[Awaitable[Contact]]) -> list[Contact | BaseException]:
    return await asyncio.gather(*calls, return_exceptions=True)


async def test_each_has_an_answer_of_its_own(book: Client, creating: Creating):
    taken = await book.create(PHONES[0])
    await book("WithdrawConsent", phone=PHONES[1], source="STOP")
    asked = [
        new(PHONES[4], WEB, first_name="Δ", tags=["vip", "new"], attributes={"a": '"\\'}, birthday="1990-02-28"),
        new(PHONES[0]),
        new(PHONES[1]),
        new(PHONES[2], subscription=Contact.UNSUBSCRIBED),
        new(PHONES[3], first_name="first", tags=["vip"]),
        new(PHONES[3], WEB, first_name="second"),
    ]
    ends = await together([creating.create(book.merchant_id, each) for each in asked])
    assert [isinstance(end, PhoneTaken) for end in ends] == [False, True, False, False, False, True]
    made = {end.phone: end for end in ends if isinstance(end, Contact)}
    assert {phone: person.subscription for phone, person in made.items()} == {
        PHONES[4]: Contact.SUBSCRIBED,
        PHONES[1]: Contact.UNSUBSCRIBED,
        PHONES[2]: Contact.UNSUBSCRIBED,
        PHONES[3]: Contact.SUBSCRIBED,
    }
    assert {person.id: person for person in await book.book()} == {
        person.id: person for person in (taken, *made.values())
    }
    assert (made[PHONES[3]].first_name, made[PHONES[4]].attributes["a"]) == ("first", '"\\')
    assert made[PHONES[4]].birthday == "1990-02-28"
    said = {
        phone: [
            (each.event, each.source)
            for each in (await book("ListConsents", contact_id=person.id)).consents
            if each.source != "STOP"
        ]
        for phone, person in made.items()
    }
    assert said == {
        PHONES[4]: [(Consent.GRANTED, "web")],
        PHONES[1]: [],
        PHONES[2]: [(Consent.WITHDRAWN, "merchant")],
        PHONES[3]: [(Consent.GRANTED, "till")],
    }


async def test_those_who_come_together_are_one_transaction(
    book: Client, creating: Creating, monkeypatch: pytest.MonkeyPatch
):
    async def fails(*_: object) -> None:
        raise RuntimeError("the ledger")

    with monkeypatch.context() as broken:
        broken.setattr(ContactsStore, "note_consents", fails)
        ends = await together([creating.create(book.merchant_id, new(phone)) for phone in PHONES])
    assert {repr(end) for end in ends} == {repr(RuntimeError("the ledger"))}
    assert await book.book() == []
    await together([creating.create(book.merchant_id, new(phone)) for phone in PHONES])
    assert len({person.create_time.ToNanoseconds() for person in await book.book()}) == 1
    await book.stream("ExportConsents")
    assert (await book.count("consents"), await book.count("consent_people")) == (1, len(PHONES))


async def test_the_mesh_hears_of_each_and_of_each_tag_once(book: Client, creating: Creating):
    heard_created, heard_tags = await book.listening(ContactCreated), await book.listening(TagAdded)
    asked = [
        new(PHONES[0], subscription=Contact.UNSUBSCRIBED, tags=["vip"]),
        new(PHONES[1], tags=["vip", "new"]),
        new(PHONES[2], tags=["vip"]),
        new(PHONES[3]),
    ]
    made = [end.id for end in await together([creating.create(book.merchant_id, each) for each in asked])]
    created, tags = await heard_created(3), await heard_tags(2)
    assert sorted(event.contact_id for event in created) == sorted(made[1:])
    assert {event.source for event in created} == {"merchant"}
    ids = [UUID(id).bytes for id in made]
    tagged = {
        event.tag: {event.contact_ids[at : at + 16] for at in range(0, len(event.contact_ids), 16)} for event in tags
    }
    assert tagged == {"vip": {ids[1], ids[2]}, "new": {ids[1]}}
    last = await book.create(PHONES[4], tags=["vip"])
    assert [event.contact_id for event in await heard_created(1)] == [last.id]
    assert [event.contact_ids for event in await heard_tags(1)] == [UUID(last.id).bytes]


async def test_who_is_being_written_about_holds_up_nobody_else(book: Client, creating: Creating):
    """However many they are: more than there are connections to the database."""
    database = book.mesh.app("contacts").database
    locked = PHONES[:15]
    async with ContactsStore.open(database, book.merchant_id) as page:
        await page.create_contacts([new(phone).values for phone in locked])
        calls = [asyncio.create_task(creating.create(book.merchant_id, new(phone))) for phone in PHONES]
        async with asyncio.timeout(30):
            ends = await asyncio.gather(*calls[len(locked) :], creating.create(book.merchant_id, new("+306910099999")))
        assert [type(end) for end in ends] == [Contact] * (len(PHONES) - len(locked) + 1)
        assert not any(call.done() for call in calls[: len(locked)])
        assert database.merchants.pool.checkedout() <= 1 + ALONE_MAX + PATIENT_MAX
    taken = await together(calls[: len(locked)])
    assert [type(end) for end in taken] == [PhoneTaken] * len(locked)


async def test_replicas_that_are_asked_for_the_same_people_make_each_once(book: Client, creating: Creating):
    replicas = [creating, *(Creating(book.mesh.app("contacts").database, HASHED) for _ in range(3))]
    order = random.Random(7)
    for prefix in range(20):
        phones = [f"+30691{prefix:02}{number:05}" for number in range(50)]
        calls = [
            replica.create(book.merchant_id, new(phone))
            for replica in replicas
            for phone in order.sample(phones, len(phones))
        ]
        ends = await together(calls)
        assert sorted(end.phone for end in ends if isinstance(end, Contact)) == phones
        assert {type(end) for end in ends} == {Contact, PhoneTaken}
    assert await book.count("contacts") == 20 * 50


async def test_merchants_who_come_together_see_nothing_of_each_other(book: Client, other: Client, creating: Creating):
    calls = [creating.create(each.merchant_id, new(phone)) for phone in PHONES for each in (book, other)]
    assert all(isinstance(end, Contact) for end in await together(calls))
    assert [person.phone for person in await book.book(order_by="phone")] == PHONES
    assert await other.count("contacts") == len(PHONES)


async def test_what_is_as_long_as_it_may_be_holds_up_nobody(book: Client, creating: Creating):
    # What repeats itself, PostgreSQL presses together.
    drawn = random.Random(7)

    def wide(length: int) -> str:
        return "".join(chr(drawn.randrange(0x20000, 0x2A6D0)) for _ in range(length))

    longest = {
        "first_name": wide(fields.NAME_LENGTH_MAX),
        "last_name": wide(fields.NAME_LENGTH_MAX),
        "email": f"{wide(fields.EMAIL_LENGTH_MAX - 5)}@é.gr",
        "tags": [wide(fields.TAG_LENGTH_MAX) for _ in range(fields.TAGS_MAX)],
        "attributes": {
            wide(fields.ATTRIBUTE_NAME_LENGTH_MAX): wide(fields.ATTRIBUTE_LENGTH_MAX)
            for _ in range(fields.ATTRIBUTES_MAX)
        },
    }
    ends = await together([creating.create(book.merchant_id, new(phone, **longest)) for phone in PHONES[:3]])
    assert all(isinstance(end, Contact) for end in ends), ends
