"""Activity: what is said of texts is kept, folded in its time, and asked for by rules."""

import asyncio
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.message import Message

from astronote.campaigns.v1.events_pb2 import LinkOpened, OfferRedeemed
from astronote.contacts.v1.audience_pb2 import ActivityCondition, Audience, Rule
from astronote.sender.v1.events_pb2 import MessageOutcomes
from tests.contacts.client import Client

FIRST, SECOND, THIRD = "+306900000001", "+306900000002", "+306900000003"
TEXTED, CLICKED, SILENT = ActivityCondition.TEXTED, ActivityCondition.CLICKED, ActivityCondition.SILENT


@pytest.fixture
async def three(book: Client) -> tuple[Client, list[str]]:
    return book, [(await book.create(phone)).id for phone in (FIRST, SECOND, THIRD)]


async def said(book: Client, event: Message, key: str = "") -> None:
    """As the broker brings it."""
    await book.mesh.service("contacts")
    bus = book.mesh.app("contacts").bus
    subject = f"event.{event.DESCRIPTOR.full_name}"
    await bus.publish(subject, event.SerializeToString(), key or str(uuid.uuid4()))


def outcomes(book: Client, ids: list[str], days_ago: float = 0, kind: int = MessageOutcomes.ACCEPTED) -> Message:
    packed = b"".join(uuid.UUID(id).bytes for id in ids)
    return MessageOutcomes(merchant_id=book.merchant_id, kind=kind, outcome_time=ago(days_ago), contact_ids=packed)


def ago(days: float) -> datetime:
    return datetime.now(UTC) - timedelta(days=days)


async def those(book: Client, kind: int, within_days: int = 0) -> set[str]:
    rule = Rule(activity=ActivityCondition(kind=kind, within_days=within_days))
    pages = await book.stream("StreamAudience", audience=Audience(rule=rule), page_size=100)
    return {member.phone for page in pages for member in page.members}


async def until(book: Client, kind: int, within_days: int, phones: set[str]) -> None:
    async with asyncio.timeout(20):
        while await those(book, kind, within_days) != phones:
            await asyncio.sleep(0.05)


async def test_an_event_of_many_is_folded_into_each(three: tuple[Client, list[str]]):
    book, ids = three
    await said(book, outcomes(book, ids[:2], days_ago=3))
    await until(book, TEXTED, 0, {FIRST, SECOND})
    assert await those(book, TEXTED, within_days=4) == {FIRST, SECOND}
    assert await those(book, TEXTED, within_days=2) == set()
    assert await those(book, ActivityCondition.DELIVERED) == set()
    await said(book, outcomes(book, [ids[0]], kind=MessageOutcomes.DELIVERED))
    await until(book, ActivityCondition.DELIVERED, 1, {FIRST})


async def test_a_later_time_stays_and_an_event_counts_once(three: tuple[Client, list[str]]):
    book, ids = three
    await said(book, outcomes(book, ids, days_ago=1))
    await said(book, outcomes(book, ids, days_ago=9))
    await until(book, TEXTED, 2, {FIRST, SECOND, THIRD})
    before = await book.rows("SELECT * FROM activities WHERE merchant_id = :merchant_id ORDER BY contact_id")
    again = outcomes(book, ids[:1], days_ago=0.5)
    for _ in range(3):
        await said(book, again, key="the same")
    await until(book, TEXTED, 1, {FIRST})
    after = await book.rows("SELECT * FROM activities WHERE merchant_id = :merchant_id ORDER BY contact_id")
    assert len(before) == len(after) == 3
    await until_folded(book)
    assert await those(book, TEXTED, within_days=2) == {FIRST, SECOND, THIRD}


async def until_folded(book: Client) -> None:
    async with asyncio.timeout(20):
        while await book.count("activity_events"):
            await asyncio.sleep(0.05)


async def test_an_offer_s_link_is_a_click_and_a_way_out_is_not(three: tuple[Client, list[str]]):
    book, ids = three
    shared: dict[str, Any] = {"merchant_id": book.merchant_id, "message_id": 1, "open_time": ago(0)}
    await said(book, LinkOpened(contact_id=ids[1], kind=LinkOpened.UNSUBSCRIBE, **shared))
    await said(book, LinkOpened(contact_id="", kind=LinkOpened.OFFER, **shared))
    await said(book, LinkOpened(contact_id=ids[0], kind=LinkOpened.OFFER, **shared))
    redeemed = {"merchant_id": book.merchant_id, "message_id": 1, "redeem_time": ago(40)}
    await said(book, OfferRedeemed(contact_id=ids[2], **redeemed))
    await until(book, CLICKED, 1, {FIRST})
    await until(book, ActivityCondition.REDEEMED, 0, {THIRD})
    await until_folded(book)
    # Who came into the book a moment ago can't have been silent.
    assert await those(book, SILENT, within_days=30) == set()
    await book.rows("UPDATE contacts SET create_time = :time WHERE merchant_id = :merchant_id", time=ago(100))
    assert await those(book, SILENT, within_days=30) == {SECOND, THIRD}
    assert await those(book, SILENT, within_days=41) == {SECOND}


async def test_who_is_gone_or_another_s_has_no_activity(three: tuple[Client, list[str]], other: Client):
    book, ids = three
    foreign = (await other.create(FIRST)).id
    await said(book, outcomes(book, [*ids, foreign, str(uuid.uuid4())]))
    await until(book, TEXTED, 1, {FIRST, SECOND, THIRD})
    assert await book.count("activities") == 3
    assert await other.count("activities") == 0
    await book("DeleteContact", id=ids[0])
    assert await book.count("activities") == 2
    await said(book, outcomes(book, ids))
    await until_folded(book)
    assert await book.count("activities") == 2


async def test_what_makes_no_sense_is_passed_over(three: tuple[Client, list[str]]):
    book, ids = three
    broken = MessageOutcomes(merchant_id=book.merchant_id, kind=MessageOutcomes.ACCEPTED, contact_ids=b"short")
    await said(book, broken)
    await said(book, MessageOutcomes(merchant_id=book.merchant_id, contact_ids=uuid.UUID(ids[0]).bytes))
    await said(book, outcomes(book, ids[:1]))
    await until(book, TEXTED, 1, {FIRST})
    assert await book.rows("SELECT 1 FROM dead_letters WHERE subject LIKE '%MessageOutcomes%'") == []


async def test_a_round_takes_more_than_one_event_and_ends(three: tuple[Client, list[str]]):
    book, ids = three
    for number in range(20):
        await said(book, outcomes(book, ids, days_ago=number + 1))
    await until(book, TEXTED, 2, {FIRST, SECOND, THIRD})
    await until_folded(book)
