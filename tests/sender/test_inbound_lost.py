"""No opt-out is lost, whatever is away; and the answer to a HELP."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import text

from astronote.sender.v1.events_pb2 import InboundReceived
from astronote.sender.v1.inbound_pb2 import InboundText
from astronote.sender.v1.privacy_pb2 import ErasePersonRequest
from astronote.sender.v1.privacy_pb2_grpc import PrivacyServiceStub
from astronote.sender.v1.sender_pb2 import GetMessageRequest, Message, SendMessageRequest
from astronote.sender.v1.sender_pb2_grpc import MessagesServiceStub
from deploy.local.mitto import MittoStandIn
from kit.store import Database
from services.sender.audit import WebhookRetention
from tests.conftest import TestMesh
from tests.sender.customers import SHARED, WAIT_SECONDS, answers, heard, listed, may_be_texted, sent, subscribed
from tests.sender.road import Shop, provider


@pytest.fixture(scope="module", autouse=True)
async def mitto(mesh: TestMesh) -> AsyncIterator[MittoStandIn]:
    async with provider(mesh, {}) as mitto:
        yield mitto


@pytest.fixture
async def shop(mesh: TestMesh) -> Shop:
    """One who has texted her one customer."""
    shop = await Shop.opened(mesh, 1)
    await sent(mesh, shop, shop.phones[0], "Shop")
    return shop


@pytest.fixture
async def database(mesh: TestMesh) -> Database:
    return mesh.app("sender").database


def said(shop: Shop, words: str, **more: Any) -> dict[str, Any]:
    return {"from": shop.phones[0][1:], "to": SHARED, "text": words} | more


@pytest.mark.parametrize(
    ("words", "expected"), [(("STOP",), False), (("START", "STOP"), False), (("STOP", "START"), True)]
)
async def test_what_was_said_while_contacts_was_away_is_obeyed_in_its_order(
    mesh: TestMesh, shop: Shop, words: tuple[str, ...], expected: bool
) -> None:
    await mesh.stop("contacts")
    for word in words:
        await answers(mesh, said(shop, word))
    waiting: list[InboundText] = []
    async with asyncio.timeout(WAIT_SECONDS):
        while len(waiting) < len(words):
            await asyncio.sleep(0.02)
            waiting = await listed(shop, state=InboundText.PENDING)
    await mesh.start("contacts")
    await heard(shop, len(words))
    assert await subscribed(shop, shop.phones[0]) == expected


async def test_an_opt_out_that_contacts_has_not_heard_of_holds_already(
    mesh: TestMesh, mitto: MittoStandIn, shop: Shop, database: Database
) -> None:
    (customer,) = shop.phones
    await mesh.stop("contacts")
    await answers(mesh, said(shop, "STOP"))
    kept = text("UPDATE inbound_texts SET due_time = 'infinity' WHERE merchant_id = :merchant_id")
    async with asyncio.timeout(WAIT_SECONDS):
        held = 0
        while not held:
            async with database.pipeline.begin() as connection:
                held = (await connection.execute(kept, {"merchant_id": shop.merchant_id})).rowcount
    await mesh.start("contacts")
    # A round that was under way has put it back by now.
    await asyncio.sleep(1)
    async with database.pipeline.begin() as connection:
        await connection.execute(kept, {"merchant_id": shop.merchant_id})
    assert [each.state for each in await listed(shop)] == [InboundText.PENDING]
    request = SendMessageRequest(to=customer, text="Hi")
    message = await shop.call("sender", MessagesServiceStub, "SendMessage", request)
    async with asyncio.timeout(WAIT_SECONDS):
        while message.state == Message.QUEUED:
            await asyncio.sleep(0.05)
            message = await shop.call("sender", MessagesServiceStub, "GetMessage", GetMessageRequest(id=message.id))
    assert (message.state, message.error, mitto.accepted(customer)) == (Message.SKIPPED, "opted_out", [])


async def test_a_sender_that_stops_after_the_202_obeys_when_it_is_back(mesh: TestMesh, shop: Shop) -> None:
    await answers(mesh, said(shop, "STOP"))
    settings = mesh.app("sender").settings
    await mesh.stop("sender")
    await mesh.start("sender", {"mitto_api_base": settings.mitto_api_base})
    await heard(shop)
    assert not await subscribed(shop, shop.phones[0])


async def test_a_repeat_is_one_text_and_one_event(mesh: TestMesh, shop: Shop, database: Database) -> None:
    subject = f"event.{InboundReceived.DESCRIPTOR.full_name}"
    subscription = await mesh.app("sender").bus.stream.subscribe(subject, deliver_policy="new")
    words = said(shop, "Ευχαριστώ!", messageId="a")
    await asyncio.gather(*(answers(mesh, words, words) for _ in range(5)))
    await answers(mesh, said(shop, "STOP", messageId="b"))
    thanks, stop = reversed(await heard(shop, 2))
    assert (thanks.kind, stop.kind) == (InboundText.OTHER, InboundText.STOP)
    events = []
    async with asyncio.timeout(WAIT_SECONDS):
        while not events or events[-1].kind != InboundText.STOP:
            event = InboundReceived.FromString((await subscription.next_msg(timeout=5)).data)
            events += [event] if event.merchant_id == shop.merchant_id else []
    await subscription.unsubscribe()
    assert [event.inbound_id for event in events] == [thanks.id, stop.id]
    assert [event.receive_time for event in events] == [thanks.receive_time, stop.receive_time]


async def test_a_stop_that_is_repeated_after_a_start_is_obeyed_again(mesh: TestMesh, shop: Shop) -> None:
    for count, (words, expected) in enumerate((("STOP", False), ("START", True), ("STOP", False), ("START", False))):
        await answers(mesh, said(shop, words))
        await heard(shop, min(count + 1, 2))
        async with asyncio.timeout(WAIT_SECONDS):
            while await subscribed(shop, shop.phones[0]) != expected:
                await asyncio.sleep(0.02)
    # One that is repeated is not shown twice; and a START is not believed twice.
    assert [text.kind for text in await heard(shop, 2)] == [InboundText.START, InboundText.STOP]


async def test_a_help_is_answered_once_a_day_by_the_last_who_texted(
    mesh: TestMesh, mitto: MittoStandIn, shop: Shop
) -> None:
    (customer,) = shop.phones
    last = await Shop.opened(mesh, 0)
    await sent(mesh, last, customer, "Last")
    for number, words in enumerate(("help", "ΒΟΗΘΕΙΑ", "Info?"), 1):
        await answers(mesh, said(shop, words))
        await heard(last, number)
        await heard(shop, number)
    async with asyncio.timeout(WAIT_SECONDS):
        while not mitto.accepted(customer):
            await asyncio.sleep(0.05)
    (answer,) = mitto.accepted(customer)
    assert (answer["sender"], answer["text"]) == (
        "Shop",
        "Shop: ΓIA ΔIAΓPAΦH AΠANTHΣTE ΣTOΠ. To stop our texts reply STOP.",
    )
    assert [each.to for each in await last.messages() if each.id == int(answer["reference"])] == [customer]
    # Once a day: the others waited for nothing else.
    assert len([each for each in await last.messages() if each.id >> 62]) == 1


async def test_a_help_of_somebody_who_opted_out_or_of_a_poor_shop_is_done_without_an_answer(
    mesh: TestMesh, mitto: MittoStandIn, shop: Shop
) -> None:
    await answers(mesh, said(shop, "STOP"))
    await heard(shop)
    await answers(mesh, said(shop, "help"))
    await heard(shop, 2)
    poor = Shop(mesh, "00000000-0000-4000-8000-000000000001", ["+306900000009"])
    await sent(mesh, poor, poor.phones[0], "Poor")
    await answers(mesh, said(poor, "help", time=datetime.now(UTC).isoformat()))
    await heard(poor, phone=poor.phones[0])
    await asyncio.sleep(1.2)
    assert [mitto.accepted(each) for each in (*shop.phones, *poor.phones)] == [[], []]


async def test_texts_are_listed_by_page_phone_kind_and_time(mesh: TestMesh, shop: Shop) -> None:
    for number in range(5):
        await answers(mesh, said(shop, f"Hello {number}"))
        await heard(shop, number + 1)
    found = await listed(shop)
    assert [each.text for each in found] == [f"Hello {number}" for number in range(4, -1, -1)]
    assert [each.id for each in await listed(shop, page_size=2)] == [each.id for each in found[:2]]
    assert await listed(shop, phone="+306900000000") == await listed(shop, kind=InboundText.STOP) == []
    assert len(await listed(shop, phone=shop.phones[0], kind=InboundText.OTHER)) == 5
    assert [each.id for each in await listed(shop, since_time=found[1].receive_time)] == [each.id for each in found[:2]]
    future = Timestamp()
    future.FromDatetime(datetime.now(UTC) + timedelta(hours=1))
    assert await listed(shop, since_time=future) == []


async def test_what_names_no_phone_stands_in_quarantine(mesh: TestMesh, shop: Shop, database: Database) -> None:
    assert await answers(mesh, {"from": "Cosmote", "text": "STOP"}, said(shop, "Hi")) == 2
    await heard(shop)
    kept = text("SELECT reason FROM quarantined_reports WHERE item LIKE '%Cosmote%'")
    async with database.pipeline.begin() as connection:
        assert list((await connection.execute(kept)).scalars()) == ["no phone"]
        await connection.execute(text("DELETE FROM quarantined_reports"))


async def test_an_erased_persons_texts_are_forgotten_and_nobody_elses(
    mesh: TestMesh, shop: Shop, database: Database
) -> None:
    (customer,) = shop.phones
    other = await Shop.opened(mesh, 0)
    await sent(mesh, other, customer, "Other")
    await answers(mesh, said(shop, "Kanarina"))
    for each in (shop, other):
        await heard(each)
    peer = await mesh.service("sender", caller="contacts")
    request = ErasePersonRequest(phone=customer)
    await PrivacyServiceStub(peer.channel).ErasePerson(request, metadata=peer.metadata(shop.merchant_id), timeout=20)
    assert (await listed(shop), len(await listed(other))) == ([], 1)
    async with database.pipeline.connect() as connection:
        left = text("SELECT count(*) FROM arrivals WHERE phone = :phone")
        assert await connection.scalar(left, {"phone": customer}) == 0


async def test_arrivals_are_dropped_when_they_are_old_and_what_was_shown_stays(
    mesh: TestMesh, shop: Shop, database: Database
) -> None:
    await answers(mesh, said(shop, "STOP"))
    await heard(shop)
    async with database.pipeline.begin() as connection:
        old = text("UPDATE arrivals SET receive_time = now() - interval '31 days' WHERE phone = :phone")
        await connection.execute(old, {"phone": shop.phones[0]})
    assert not await WebhookRetention(database, 30 * 86400).step()
    async with database.pipeline.connect() as connection:
        left = text("SELECT count(*) FROM arrivals WHERE phone = :phone")
        assert await connection.scalar(left, {"phone": shop.phones[0]}) == 0
    assert len(await listed(shop)) == 1
    assert not await may_be_texted(mesh, shop, shop.phones[0])
