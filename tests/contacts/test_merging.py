"""Two contacts that are the same person, and tags of many at once."""

import asyncio
import uuid
from datetime import UTC, datetime

import pytest

from astronote.contacts.v1 import contacts_pb2 as pb
from astronote.contacts.v1.audience_pb2 import ActivityCondition, Audience, Rule
from services.contacts import evidence
from tests.contacts.client import Client, reason, refused
from tests.contacts.test_consents import exported

FIRST, SECOND, THIRD = "+306900000001", "+306900000002", "+306900000003"


async def test_the_one_that_stays_takes_what_it_lacks(book: Client):
    stays = await book.create(FIRST, first_name="Μαρία", tags=["vip"], attributes={"city": "Αθήνα"})
    other = await book.create(
        SECOND,
        first_name="Maria",
        last_name="Παππά",
        email="maria@example.gr",
        birthday="1990-02-28",
        gender=pb.Contact.FEMALE,
        language="el",
        tags=["new", "vip"],
        attributes={"city": "Πάτρα", "size": "M"},
    )
    merged = await book("MergeContact", id=stays.id, other_id=other.id)
    assert (merged.id, merged.phone, merged.first_name, merged.last_name) == (stays.id, FIRST, "Μαρία", "Παππά")
    assert (merged.email, merged.birthday, merged.gender) == ("maria@example.gr", "1990-02-28", pb.Contact.FEMALE)
    assert list(merged.tags) == ["vip", "new"]
    assert merged.attributes == {"city": "Αθήνα", "size": "M"}
    assert merged.subscription == pb.Contact.SUBSCRIBED
    assert merged.create_time.ToDatetime() <= other.create_time.ToDatetime()
    assert await book.book() == [merged]
    assert await book.book(q="παππα") == [merged]
    assert await reason(book("GetContact", id=other.id)) == "CONTACT_NOT_FOUND"
    assert (await book.create(SECOND)).phone == SECOND


async def test_lists_activity_and_consents_come_along(book: Client):
    stays, other = await book.create(FIRST), await book.create(SECOND)
    one, two = [(await book("CreateList", list={"name": name})).id for name in ("one", "two")]
    await book("AddListContacts", id=one, contact_ids=[stays.id, other.id])
    await book("AddListContacts", id=two, contact_ids=[other.id])
    now = datetime.now(UTC)
    statement = "INSERT INTO activities (merchant_id, contact_id, text_time) VALUES (:merchant_id, :id, :time)"
    await book.rows(statement, id=other.id, time=now)
    await book("MergeContact", id=stays.id, other_id=other.id)
    for each in (one, two):
        assert [person.id for person in (await book("ListListContacts", id=each)).contacts] == [stays.id]
    texted = Rule(activity=ActivityCondition(kind=ActivityCondition.TEXTED, within_days=1))
    assert (await book("CountAudience", audience=Audience(rule=texted))).count == 1
    assert await book.count("activities") == 1
    assert await book.count("list_contacts") == 2
    consents = (await book("ListConsents", contact_id=stays.id)).consents
    assert len(consents) == 2
    evidence.hold(await exported(book, stays.id), await exported(book))
    # And of whoever was merged into the other before.
    third = await book.create(THIRD)
    await book("MergeContact", id=third.id, other_id=stays.id)
    assert len((await book("ListConsents", contact_id=third.id)).consents) == 3
    person = await exported(book, third.id)
    assert (person.people, len(person.phone_hashes)) == (3, 3)


async def test_two_rows_of_one_file_that_are_one_person_are_shown_with_their_proof(book: Client):
    await book.imported(f"phone\n{FIRST}\n{SECOND}\n{THIRD}\n")
    stays, other, _ = sorted(await book.book(), key=lambda person: person.phone)
    await book("MergeContact", id=stays.id, other_id=other.id)
    first = await book("ListConsents", contact_id=stays.id, page_size=1)
    rest = await book("ListConsents", contact_id=stays.id, page_token=first.next_page_token)
    assert [each.number for each in (*first.consents, *rest.consents)] == [1, 1]
    person, whole = await exported(book, stays.id), await exported(book)
    assert (person.people, list(person.links)) == (2, [1])
    evidence.hold(person, whole)


@pytest.mark.parametrize("out", ["stays", "other", "by phone"])
async def test_an_opt_out_of_either_is_one_of_both(book: Client, out: str):
    stays, other = await book.create(FIRST), await book.create(SECOND)
    if out == "by phone":
        await book("WithdrawConsent", phone=SECOND, source="STOP")
    else:
        await book.update((stays if out == "stays" else other).id, subscription=pb.Contact.UNSUBSCRIBED)
    merged = await book("MergeContact", id=stays.id, other_id=other.id)
    assert merged.subscription == pb.Contact.UNSUBSCRIBED
    assert await reason(book.update(stays.id, subscription=pb.Contact.SUBSCRIBED)) == "OPTED_OUT"
    assert (await book.create(SECOND)).subscription == pb.Contact.UNSUBSCRIBED
    refused_phones = (await book("FilterTextable", phones=[FIRST, SECOND], allow_strangers=True)).refused_phones
    assert set(refused_phones) == {FIRST, SECOND}


async def test_what_can_t_be_one_is_refused_and_nothing_is_done(book: Client, other: Client):
    mine, foreign = await book.create(FIRST), await other.create(SECOND)
    assert await reason(book("MergeContact", id=mine.id, other_id=mine.id)) == "CONTACT_INVALID"
    assert await reason(book("MergeContact", id=mine.id, other_id=mine.id.upper())) == "CONTACT_INVALID"
    for pair in ((mine.id, foreign.id), (foreign.id, mine.id), (mine.id, str(uuid.uuid4())), ("x", mine.id)):
        assert await reason(book("MergeContact", id=pair[0], other_id=pair[1])) == "CONTACT_NOT_FOUND"
    full = await book.create(THIRD, tags=[str(number) for number in range(50)])
    more = await book.create("+306900000004", tags=["more"])
    assert await reason(book("MergeContact", id=full.id, other_id=more.id)) == "CONTACT_INVALID"
    assert {person.id for person in await book.book()} == {mine.id, full.id, more.id}


async def test_of_two_merges_that_cross_one_is_done(book: Client):
    for _ in range(5):
        one, two = await book.create(FIRST), await book.create(SECOND)
        calls = (book("MergeContact", id=a, other_id=b) for a, b in ((one.id, two.id), (two.id, one.id)))
        answers = await asyncio.gather(*calls, return_exceptions=True)
        assert sum(isinstance(answer, pb.Contact) for answer in answers) == 1
        (left,) = await book.book()
        await book("DeleteContact", id=left.id)


async def test_tags_come_and_go_in_bulk(book: Client, other: Client):
    one, two = await book.create(FIRST, tags=["vip", "a"]), await book.create(SECOND)
    ids = [one.id, two.id]
    assert (await book("AddTags", contact_ids=ids, tags=["vip", " new "])).changed == 2
    assert (await book("AddTags", contact_ids=ids, tags=["vip", "new"])).changed == 0
    assert list((await book("GetContact", id=one.id)).tags) == ["vip", "a", "new"]
    assert (await book("RemoveTags", contact_ids=ids, tags=["a", "none"])).changed == 1
    assert list((await book("GetContact", id=one.id)).tags) == ["vip", "new"]
    assert list((await book("GetContact", id=two.id)).tags) == ["vip", "new"]
    assert len(await book.book(tag="new")) == 2
    foreign = await other.create(FIRST)
    for verb in ("AddTags", "RemoveTags"):
        answer = await refused(book(verb, contact_ids=[one.id, foreign.id], tags=["vip", "x"]))
        assert answer == ("CONTACT_NOT_FOUND", {"field": "contact_ids", "id": foreign.id, "missing": "1"})
        assert await reason(book(verb, contact_ids=ids, tags=["x" * 51])) == "CONTACT_INVALID"
        assert await reason(book(verb, contact_ids=ids)) == "FIELD_REQUIRED"
        assert await reason(book(verb, contact_ids=ids * 2501, tags=["x"])) == "TOO_MANY_CONTACTS"
    full = await book.create(THIRD, tags=[str(number) for number in range(50)])
    name, metadata = await refused(book("AddTags", contact_ids=[*ids, full.id], tags=["one more"]))
    assert (name, metadata["field"], metadata["id"]) == ("CONTACT_INVALID", "tags", full.id)
    assert await book.book(tag="one more") == []
