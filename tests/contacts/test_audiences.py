"""Who may be texted, over a real channel and a real database."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from nats.js.api import ConsumerConfig, DeliverPolicy
from sqlalchemy import text

from astronote.contacts.v1 import contacts_pb2 as pb
from astronote.contacts.v1.audience_pb2 import Audience
from astronote.contacts.v1.consents_pb2 import Consent
from astronote.contacts.v1.events_pb2 import ConsentWithdrawn, ListJoined, TagAdded
from services.contacts.store import ContactsStore
from tests.contacts.client import ALL, Client, reason

FIRST, SECOND, THIRD = "+306900000001", "+306900000002", "+306900000003"


@pytest.fixture
async def three(book: Client) -> Client:
    await book.create(SECOND, first_name="Β", attributes={"city": "Πάτρα"}, birthday="1990-01-01")
    await book.create(THIRD, first_name="Γ", email="c@example.gr", language="el")
    await book.create(FIRST, first_name="Α", last_name="Ω")
    return book


async def events(book: Client) -> list[ConsentWithdrawn]:
    """Every event that was left in the outbox or is already gone; the relay is faster than a test."""
    rows = await book.rows("SELECT payload FROM outbox ORDER BY id")
    return [event for row in rows if (event := ConsentWithdrawn.FromString(row[0])).merchant_id == book.merchant_id]


async def test_an_audience_comes_in_pages_in_the_order_of_the_phones(three: Client):
    assert (await three("CountAudience", audience=ALL)).count == 3
    assert (await three("CountAudience", caller="campaigns", audience=ALL)).count == 3
    fields = ["first_name", "attributes.city", "last_name", "birthday", "email", "language", "phone", "attributes.x"]
    pages = await three.stream("StreamAudience", audience=ALL, fields=fields, page_size=2)
    assert [len(page.members) for page in pages] == [2, 1]
    members = [member for page in pages for member in page.members]
    assert [list(member.values) for member in members] == [
        ["Α", "", "Ω", "", "", "", FIRST, ""],
        ["Β", "Πάτρα", "", "1990-01-01", "", "", SECOND, ""],
        ["Γ", "", "", "", "c@example.gr", "el", THIRD, ""],
    ]
    people = {person.phone: person.id.replace("-", "") for person in await three.book()}
    assert {member.phone: member.contact_id.hex() for member in members} == people
    assert [member.phone for member in await three.audience(after_phone=FIRST)] == [SECOND, THIRD]
    assert await three.audience(after_phone=THIRD) == []


async def test_those_who_are_left_out_are_counted_where_somebody_asks(three: Client):
    await three("WithdrawConsent", phone=FIRST, source="STOP")
    chosen = Audience(rule={"field": {"name": "phone", "op": "IN", "values": [FIRST, THIRD]}})
    for audience, count in ((ALL, 2), (chosen, 1)):
        answer = await three("CountAudience", audience=audience, count_opted_out=True)
        assert (answer.count, answer.opted_out) == (count, 1)
        assert (await three("CountAudience", audience=audience)).opted_out == 0
    nobody = Audience(rule={"field": {"name": "phone", "op": "IN", "values": [SECOND]}})
    assert (await three("CountAudience", audience=nobody, count_opted_out=True)).opted_out == 0


async def test_an_audience_that_makes_no_sense_is_refused(three: Client):
    async def answer(**fields: Any) -> str:
        return await reason(three.stream("StreamAudience", **({"audience": ALL, "page_size": 10} | fields)))

    assert await answer(fields=["first_name", "credit_card"]) == "FIELD_UNKNOWN"
    assert await answer(fields=["attributes."]) == "FIELD_UNKNOWN"
    assert await answer(fields=["id; DROP TABLE contacts"]) == "FIELD_UNKNOWN"
    assert await answer(page_size=0) == "FIELD_REQUIRED"
    assert await answer(page_size=10_001) == "AUDIENCE_PAGE_SIZE_INVALID"
    assert await answer(after_phone="x") == "PHONE_INVALID"
    assert await answer(audience={"all": False}) == "AUDIENCE_INVALID"
    assert await reason(three("CountAudience", audience={})) == "AUDIENCE_INVALID"
    assert await reason(three("FilterTextable", phones=["x"])) == "PHONE_INVALID"
    assert await reason(three("FilterTextable", phones=[FIRST] * 10_001)) == "TOO_MANY_PHONES"
    assert await reason(three("WithdrawConsent", phone="6900000001", source="STOP")) == "PHONE_INVALID"
    assert await reason(three("WithdrawConsent", phone=FIRST, source="x" * 101)) == "CONTACT_INVALID"


async def test_an_attribute_s_name_is_a_value_and_never_sql(book: Client):
    name = "a' || (SELECT 1) %s -- "[:50].strip()
    await book.create(FIRST, attributes={name: "x"})
    assert [list(member.values) for member in await book.audience(f"attributes.{name}")] == [["x"]]


async def test_a_stream_reads_one_snapshot(three: Client):
    request = pb.StreamAudienceRequest(audience=ALL, page_size=1)
    pages = aiter(await three.call("StreamAudience", request))
    seen = [member.phone for member in (await anext(pages)).members]
    await three("WithdrawConsent", phone=THIRD, source="STOP")
    await three.create("+306900000000")
    await three.create("+306900000004")
    seen += [member.phone async for page in pages for member in page.members]
    assert seen == [FIRST, SECOND, THIRD]
    # The sender asks again before it submits.
    assert (await three("FilterTextable", phones=seen)).refused_phones == [THIRD]


async def test_a_withdrawal_counts_once_and_everywhere(three: Client):
    assert (await three("WithdrawConsent", phone=SECOND, source="STOP")).changed
    assert not (await three("WithdrawConsent", phone=SECOND, source="unsubscribe link")).changed
    assert [person.phone for person in await three.book(subscription=pb.Contact.UNSUBSCRIBED)] == [SECOND]
    assert [member.phone for member in await three.audience()] == [FIRST, THIRD]
    assert (await three("CountAudience", audience=ALL)).count == 2
    asked = [SECOND, "+306999999999", FIRST]
    assert set((await three("FilterTextable", phones=asked)).refused_phones) == {SECOND, "+306999999999"}
    (second,) = await three.book(q=SECOND)
    consents = (await three("ListConsents", contact_id=second.id)).consents
    assert [(each.event, each.source) for each in consents[1:]] == [
        (Consent.WITHDRAWN, "STOP"),
        (Consent.WITHDRAWN, "unsubscribe link"),
    ]


async def test_a_stranger_may_be_texted_unless_he_opted_out(three: Client):
    stranger, gone = "+306999999999", "+306999999998"
    await three("WithdrawConsent", phone=gone, source="STOP")
    await three("WithdrawConsent", phone=SECOND, source="STOP")
    asked = {"phones": [FIRST, SECOND, stranger, gone], "allow_strangers": True}
    assert set((await three("FilterTextable", **asked)).refused_phones) == {SECOND, gone}


async def test_a_withdrawal_needs_no_contact_and_outlives_one(book: Client):
    assert (await book("WithdrawConsent", caller="campaigns", phone=FIRST, source="unsubscribe link")).changed
    person = await book.create(FIRST)
    assert person.subscription == pb.Contact.UNSUBSCRIBED
    assert await reason(book.update(person.id, subscription=pb.Contact.SUBSCRIBED)) == "OPTED_OUT"
    await book("DeleteContact", id=person.id)
    person = await book.create(SECOND)
    person = await book.update(person.id, phone=FIRST)
    assert person.subscription == pb.Contact.UNSUBSCRIBED
    assert await book.audience() == []


async def test_one_event_leaves_with_the_first_withdrawal(book: Client):
    person = await book.create(FIRST)
    heard = await book.listening(ConsentWithdrawn)
    answers = await asyncio.gather(*(book("WithdrawConsent", phone=FIRST, source="STOP") for _ in range(8)))
    assert sorted(answer.changed for answer in answers) == [False] * 7 + [True]
    assert await heard(1) == [ConsentWithdrawn(merchant_id=book.merchant_id, contact_id=person.id, source="STOP")]
    async with asyncio.timeout(10):
        while await events(book):
            await asyncio.sleep(0.02)


async def test_a_merchant_s_own_word_suppresses_too(book: Client):
    person = await book.create(FIRST)
    changed = await book.update(person.id, subscription=pb.Contact.UNSUBSCRIBED)
    assert changed.subscription == pb.Contact.UNSUBSCRIBED
    await book.update(person.id, subscription=pb.Contact.UNSUBSCRIBED, first_name="x")
    assert await reason(book.update(person.id, subscription=pb.Contact.SUBSCRIBED)) == "OPTED_OUT"
    created = await book.create(SECOND, subscription=pb.Contact.UNSUBSCRIBED)
    assert created.subscription == pb.Contact.UNSUBSCRIBED
    sources = await book.rows("SELECT source FROM suppressions WHERE merchant_id = :merchant_id")
    assert [row[0] for row in sources] == ["merchant", "merchant"]
    # A new number of the same person is theirs to subscribe anew.
    moved = await book.update(person.id, phone=THIRD)
    assert moved.subscription == pb.Contact.UNSUBSCRIBED
    assert (await book.update(person.id, subscription=pb.Contact.SUBSCRIBED)).subscription == pb.Contact.SUBSCRIBED


async def test_a_suppression_beside_a_subscribed_contact_still_holds(three: Client):
    """What an import leaves that read the suppressions just before a STOP was committed."""
    database = three.mesh.app("contacts").database
    await three("WithdrawConsent", phone=SECOND, source="STOP")
    async with ContactsStore.open(database, three.merchant_id) as store:
        await store.connection.execute(text("UPDATE contacts SET subscription = 'SUBSCRIBED'"))
    assert [member.phone for member in await three.audience()] == [FIRST, THIRD]
    counted = await three("CountAudience", audience=ALL, count_opted_out=True)
    assert (counted.count, counted.opted_out) == (2, 1)
    assert (await three("FilterTextable", phones=[SECOND])).refused_phones == [SECOND]
    assert not (await three("WithdrawConsent", phone=SECOND, source="STOP")).changed
    assert [person.phone for person in await three.book(subscription=pb.Contact.UNSUBSCRIBED)] == [SECOND]


async def test_an_audience_may_be_asked_for_a_few_people_of_it(three: Client):
    people = {person.phone: person.id for person in await three.book()}
    chosen = Audience(rule={"field": {"name": "phone", "op": "IN", "values": [SECOND, THIRD]}})
    few = [people[FIRST], people[SECOND], str(uuid.uuid4())]
    (page,) = await three.stream("StreamAudience", audience=chosen, page_size=9, contact_ids=few)
    assert [each.phone for each in page.members] == [SECOND]
    stream = three.stream("StreamAudience", audience=ALL, page_size=1, contact_ids=["x"])
    assert await reason(stream) == "CONTACT_NOT_FOUND"


@asynccontextmanager
async def heard(
    book: Client, event: type[ListJoined | TagAdded]
) -> AsyncIterator[Callable[[str], Awaitable[list[tuple[str, int]]]]]:
    """What is said of this merchant from now on, and of how many people, up to what is said of the last thing."""
    await book.mesh.service("contacts")
    stream = book.mesh.app("contacts").bus.stream
    config = ConsumerConfig(deliver_policy=DeliverPolicy.NEW)
    subscription = await stream.subscribe(f"event.{event.DESCRIPTOR.full_name}", ordered_consumer=True, config=config)

    async def until(last: str) -> list[tuple[str, int]]:
        found: list[tuple[str, int]] = []
        while not found or found[-1][0] != last:
            each = event.FromString((await subscription.next_msg(timeout=10)).data)
            if each.merchant_id == book.merchant_id:
                found.append((each.tag if isinstance(each, TagAdded) else each.list_id, len(each.contact_ids) // 16))
        return found

    yield until
    await subscription.unsubscribe()


async def test_who_joins_a_list_is_said_once(book: Client):
    one, two = [await book.create(phone) for phone in (FIRST, SECOND)]
    first, last = [(await book("CreateList", list={"name": name})).id for name in ("Members", "Last")]
    async with heard(book, ListJoined) as until:
        for ids in ([one.id], [one.id, two.id], [two.id]):
            await book("AddListContacts", id=first, contact_ids=ids)
        await book.upload(f"phone\n{THIRD}\n", list_id=first)
        await book("AddListContacts", id=last, contact_ids=[one.id])
        assert await until(last) == [(first, 1), (first, 1), (last, 1)]


async def test_who_gets_a_tag_is_said_once(book: Client):
    async with heard(book, TagAdded) as until:
        one, two = [await book.create(phone, tags=["vip"]) for phone in (FIRST, SECOND)]
        await book("AddTags", contact_ids=[one.id, two.id], tags=["vip", "new"])
        await book.update(one.id, tags=["new", "gold"])
        await book.upload(f"phone,tags\n{THIRD},vip\n")
        await book("AddTags", contact_ids=[two.id], tags=["last"])
        # Several replicas carry an outbox side by side, so that the order is nobody's promise.
        assert sorted(await until("last")) == sorted([("vip", 1), ("vip", 1), ("new", 2), ("gold", 1), ("last", 1)])
