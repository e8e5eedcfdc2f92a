"""One text to one phone: paid for once, sent once, closed in the end, whatever dies."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from sqlalchemy import text

from astronote.contacts.v1 import contacts_pb2 as contacts
from astronote.contacts.v1.contacts_pb2_grpc import AudiencesServiceStub
from astronote.operations.v1.restore_pb2 import StopForgottenRequest, StopForgottenResponse
from astronote.operations.v1.restore_pb2_grpc import RestoreServiceStub
from astronote.sender.v1 import sender_pb2 as pb
from astronote.sender.v1.operations_pb2 import ResumeRouteRequest
from astronote.sender.v1.operations_pb2_grpc import RouteOperationsServiceStub
from astronote.sender.v1.sender_pb2_grpc import MessagesServiceStub
from astronote.wallet.v1 import wallet_pb2 as wallet
from astronote.wallet.v1.guards_pb2 import SpendLimits, UpdateSpendLimitsRequest
from astronote.wallet.v1.guards_pb2_grpc import SpendingServiceStub
from astronote.wallet.v1.wallet_pb2_grpc import WalletServiceStub
from deploy.local.mitto import MittoStandIn
from kit import errors
from tests.conftest import TestMesh
from tests.sender.road import Shop, post, provider
from tests.wallet.client import Client, reason

Message = pb.Message
CREDITS = 1000
DEAR = "Ω" * 70 + "ω" * 1460
WAIT_SECONDS = 30


@pytest.fixture(scope="module")
async def mitto(mesh: TestMesh) -> AsyncIterator[MittoStandIn]:
    # Who has opted out is asked of it: without it nothing goes out.
    await mesh.service("contacts")
    async with provider(mesh, {}, single_sweep_seconds=0.5) as mitto:
        yield mitto


@pytest.fixture
async def shop(mesh: TestMesh, mitto: MittoStandIn) -> Shop:
    mitto.change_behaviour({"outcomes": {"ok": 1, "acceptAndDrop": 0}})
    return await Shop.opened(mesh, 0)


def phone() -> str:
    return f"+3069{uuid.uuid4().int % 10**8:08d}"


async def send(shop: Shop, **fields: Any) -> Message:
    request = pb.SendMessageRequest(**({"to": phone(), "text": "Your code is 1234"} | fields))
    return await shop.call("sender", MessagesServiceStub, "SendMessage", request)


async def message(shop: Shop, id: int) -> Message:
    return await shop.call("sender", MessagesServiceStub, "GetMessage", pb.GetMessageRequest(id=id))


async def ended(shop: Shop, id: int, state: "Message.State.ValueType") -> Message:
    async with asyncio.timeout(WAIT_SECONDS):
        while (found := await message(shop, id)).state != state:
            await asyncio.sleep(0.02)
    return found


async def closed(mesh: TestMesh, shop: Shop) -> wallet.HoldRecord:
    """The shop's only hold, once its books are closed and nothing is kept of them."""
    async with asyncio.timeout(WAIT_SECONDS):
        while await singles(mesh, shop):
            await asyncio.sleep(0.05)
    (hold,) = await holds(shop)
    assert hold.state == wallet.HoldRecord.CLOSED
    assert hold.captured + hold.released == hold.amount
    return hold


async def holds(shop: Shop) -> list[wallet.HoldRecord]:
    page = await shop.call("wallet", WalletServiceStub, "ListHolds", wallet.ListHoldsRequest())
    return list(page.holds)


async def singles(mesh: TestMesh, shop: Shop) -> list[str]:
    query = text("SELECT state FROM singles WHERE merchant_id = :merchant_id")
    async with mesh.app("sender").database.pipeline.connect() as connection:
        return list((await connection.execute(query, {"merchant_id": shop.merchant_id})).scalars())


async def opt_out(mesh: TestMesh, shop: Shop, phone: str) -> None:
    peer = await mesh.service("contacts", caller="sender")
    request = contacts.WithdrawConsentRequest(phone=phone, source="STOP")
    await AudiencesServiceStub(peer.channel).WithdrawConsent(
        request, metadata=peer.metadata(shop.merchant_id), timeout=20
    )


async def test_messages_are_listed_by_a_campaign_or_not_at_all(shop: Shop) -> None:
    """A campaign that is none, or another's, has no messages; what can be no campaign is said to be wrong."""
    strange, wrong = (pb.ListMessagesRequest(campaign_id=id) for id in (str(uuid.uuid4()), "welcome"))
    assert not (await shop.call("sender", MessagesServiceStub, "ListMessages", strange)).messages
    assert await reason(shop.call("sender", MessagesServiceStub, "ListMessages", wrong)) == "CAMPAIGN_ID_INVALID"


async def test_it_is_paid_for_sent_reported_and_closed(mesh: TestMesh, mitto: MittoStandIn, shop: Shop) -> None:
    to = phone()
    queued = await send(shop, to=to, text="Γεια!")
    assert (queued.state, queued.to, queued.campaign_id, queued.contact_id) == (Message.QUEUED, to, "", "")
    # The origin bit, and index 0.
    assert queued.id >> 62 == 1
    assert queued.id & 0x1FFFF == 0
    accepted = await ended(shop, queued.id, Message.ACCEPTED)
    (sent,) = mitto.accepted(to)
    assert (sent["text"], sent["sender"], sent["reference"]) == ("Γεια!", "Shop", str(queued.id))
    hold = await closed(mesh, shop)
    assert (hold.captured, hold.released) == (1, 0)
    await post(mesh, {"messageId": accepted.provider_message_id, "deliveryStatus": "Delivered"})
    await ended(shop, queued.id, Message.DELIVERED)
    assert [each.id for each in await shop.messages()] == [queued.id]
    assert (await shop.wallet()).spent == 1
    query = text("SELECT count(*) FROM tallies WHERE merchant_id = :merchant_id")
    async with mesh.app("sender").database.pipeline.connect() as connection:
        assert await connection.scalar(query, {"merchant_id": shop.merchant_id}) == 0


async def test_the_same_request_is_sent_once(mesh: TestMesh, mitto: MittoStandIn, shop: Shop) -> None:
    to, key = phone(), str(uuid.uuid4())
    answers = await asyncio.gather(*(send(shop, to=to, request_id=key) for _ in range(5)))
    assert len({answer.id for answer in answers}) == 1
    await ended(shop, answers[0].id, Message.ACCEPTED)
    assert (await send(shop, to=to, request_id=key)).id == answers[0].id
    assert await reason(send(shop, to=to, text="Another", request_id=key)) == "IDEMPOTENCY_KEY_REUSED"
    await closed(mesh, shop)
    assert len(mitto.accepted(to)) == 1
    assert (await shop.wallet()).spent == 1


async def test_those_that_come_together_are_a_batch_and_each_a_message(
    mesh: TestMesh, mitto: MittoStandIn, shop: Shop
) -> None:
    """One of them was asked for twice, one has opted out, one asks for another under a key that is used."""
    phones, key = [phone() for _ in range(30)], str(uuid.uuid4())
    await opt_out(mesh, shop, phones[7])
    answers = await asyncio.gather(
        *(send(shop, to=to, text="One") for to in phones),
        *(send(shop, to=phones[0], text="Two", request_id=key) for _ in range(3)),
    )
    again = await asyncio.gather(
        send(shop, to=phones[1], text="Two"),
        send(shop, to=phones[0], text="Three", request_id=key),
        return_exceptions=True,
    )
    assert isinstance(again[1], grpc.aio.AioRpcError)
    ids = {answer.id for answer in answers}
    assert len(ids) == 31
    assert len({id >> 17 for id in ids}) < 15
    for answer in answers:
        skipped = answer.to == phones[7]
        await ended(shop, answer.id, Message.SKIPPED if skipped else Message.ACCEPTED)
    async with asyncio.timeout(WAIT_SECONDS):
        while await singles(mesh, shop):
            await asyncio.sleep(0.05)
    sent = [(to, each["reference"]) for to in phones for each in mitto.accepted(to)]
    assert len(sent) == 31
    expected = {(answer.to, str(answer.id)) for answer in answers if answer.to != phones[7]}
    assert expected < set(sent)
    assert (await shop.wallet()).spent == 31
    found = await holds(shop)
    assert len(found) < 16
    assert sum(hold.released for hold in found) == 1


async def test_of_those_that_come_together_as_many_go_as_can_be_paid(
    mesh: TestMesh, mitto: MittoStandIn, shop: Shop
) -> None:
    await Client(mesh, shop.merchant_id)("Hold", "sender", hold_id=str(uuid.uuid4()), amount=CREDITS - 4)
    # The first goes alone; the rest are too dear together. Some are asked for twice.
    asked = [{"to": phone(), "request_id": str(uuid.uuid4())} for _ in range(9)]
    ends = await asyncio.gather(
        *(send(shop) for _ in range(3)), *(send(shop, **each) for each in asked * 2), return_exceptions=True
    )
    sent = {end.id: end for end in ends if isinstance(end, Message)}.values()
    assert len(sent) == 4
    assert {errors.reason(end) for end in ends if isinstance(end, grpc.aio.AioRpcError)} == {"INSUFFICIENT_CREDITS"}
    for each in sent:
        await ended(shop, each.id, Message.ACCEPTED)
    assert {each.id for each in await shop.messages()} == {each.id for each in sent}


async def test_who_opted_out_is_skipped_and_costs_nothing(mesh: TestMesh, mitto: MittoStandIn, shop: Shop) -> None:
    to = phone()
    await opt_out(mesh, shop, to)
    skipped = await ended(shop, (await send(shop, to=to)).id, Message.SKIPPED)
    assert skipped.error == "opted_out"
    assert not mitto.accepted(to)
    assert (await closed(mesh, shop)).released == 1
    assert (await shop.wallet()).available == CREDITS


async def test_what_is_too_dear_never_was(mesh: TestMesh, shop: Shop) -> None:
    client, key = Client(mesh, shop.merchant_id), str(uuid.uuid4())
    await client("Hold", "sender", hold_id=str(uuid.uuid4()), amount=CREDITS)
    assert await reason(send(shop, text=DEAR, request_id=key)) == "INSUFFICIENT_CREDITS"
    assert await shop.messages() == []
    await client.grant(100)
    # The key was not used up.
    await ended(shop, (await send(shop, text=DEAR, request_id=key)).id, Message.ACCEPTED)
    async with asyncio.timeout(WAIT_SECONDS):
        while (await shop.wallet()).spent != 23:
            await asyncio.sleep(0.05)


async def test_what_the_guards_refuse_is_said_and_never_was(mesh: TestMesh, mitto: MittoStandIn, shop: Shop) -> None:
    await limit(shop, calling_codes=["+357"])
    to, key = phone(), str(uuid.uuid4())
    assert await reason(send(shop, to=to, request_id=key)) == "COUNTRY_NOT_ALLOWED"
    await limit(shop, calling_codes=["+357", "+30"], daily_credits_max=1)
    assert await reason(send(shop, to=to, text=DEAR, request_id=key)) == "DAILY_CAP_REACHED"
    assert await shop.messages() == []
    # The key was not used up.
    await ended(shop, (await send(shop, to=to, request_id=key)).id, Message.ACCEPTED)
    assert len(mitto.accepted(to)) == 1


async def limit(shop: Shop, **fields: Any) -> None:
    request = UpdateSpendLimitsRequest(spend_limits=SpendLimits(**fields))
    request.update_mask.paths.extend(fields)
    await shop.call("wallet", SpendingServiceStub, "UpdateSpendLimits", request)


@pytest.mark.parametrize(
    ("fields", "refusal"),
    [
        ({"to": "6912345678"}, "PHONE_INVALID"),
        ({"to": "+30 691 234 5678"}, "PHONE_INVALID"),
        ({"text": "  "}, "TEXT_INVALID"),
        ({"text": "a" * 1531}, "TEXT_INVALID"),
        ({"text": "a\0"}, "TEXT_INVALID"),
        ({"sender_name": "no spaces"}, "SENDER_NAME_INVALID"),
    ],
)
async def test_what_is_refused_is_not_kept(mesh: TestMesh, shop: Shop, fields: dict[str, str], refusal: str) -> None:
    assert await reason(send(shop, **fields)) == refusal
    assert (await shop.messages(), await holds(shop), await singles(mesh, shop)) == ([], [], [])


async def test_a_merchant_without_a_name_has_to_give_one(mesh: TestMesh, mitto: MittoStandIn) -> None:
    nobody = Shop(mesh, str(uuid.uuid4()), [])
    assert await reason(send(nobody)) == "SENDER_NAME_MISSING"


async def test_what_is_unknown_is_not_sent_again_and_stays_held(
    mesh: TestMesh, mitto: MittoStandIn, shop: Shop
) -> None:
    mitto.change_behaviour({"outcomes": {"ok": 0, "acceptAndDrop": 1}})
    to = phone()
    unknown = await ended(shop, (await send(shop, to=to)).id, Message.UNKNOWN)
    await asyncio.sleep(1.2)
    assert len(mitto.accepted(to)) == 1
    (hold,) = await holds(shop)
    assert (hold.state, hold.captured, hold.released) == (wallet.HoldRecord.OPEN, 0, 0)
    report = {"messageId": mitto.accepted(to)[0]["messageId"], "deliveryStatus": "Delivered"}
    await post(mesh, report | {"reference": str(unknown.id)})
    await ended(shop, unknown.id, Message.DELIVERED)
    assert (await closed(mesh, shop)).captured == 1


async def test_what_the_broker_lost_is_published_again(
    mesh: TestMesh, mitto: MittoStandIn, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus, lost = mesh.app("sender").bus, []

    async def lose(subject: str, payload: bytes, key: str) -> None:
        lost.append(key)
        monkeypatch.undo()

    monkeypatch.setattr(bus, "publish", lose)
    to = phone()
    await ended(shop, (await send(shop, to=to)).id, Message.ACCEPTED)
    assert len(lost) == 1
    assert len(mitto.accepted(to)) == 1


async def test_a_wallet_that_is_away_is_paid_when_it_is_back(mesh: TestMesh, mitto: MittoStandIn, shop: Shop) -> None:
    await shop.wallet()
    await mesh.stop("wallet")
    queued = await send(shop)
    assert queued.state == Message.QUEUED
    await asyncio.sleep(0.7)
    assert (await message(shop, queued.id)).state == Message.QUEUED
    await mesh.start("wallet", {"welcome_credits": CREDITS})
    await ended(shop, queued.id, Message.ACCEPTED)
    assert (await closed(mesh, shop)).captured == 1


async def test_a_refusal_that_nobody_heard_stands_in_the_message(
    mesh: TestMesh, mitto: MittoStandIn, shop: Shop
) -> None:
    await Client(mesh, shop.merchant_id)("Hold", "sender", hold_id=str(uuid.uuid4()), amount=CREDITS)
    await mesh.stop("wallet")
    queued = await send(shop)
    await mesh.start("wallet", {"welcome_credits": CREDITS})
    rejected = await ended(shop, queued.id, Message.REJECTED)
    assert rejected.error == "insufficient_credits"
    async with asyncio.timeout(WAIT_SECONDS):
        while await singles(mesh, shop):
            await asyncio.sleep(0.05)
    assert len(await holds(shop)) == 1
    # It is a batch that is done like any other: what is old of it is found and forgotten.
    query = text("SELECT state FROM batches WHERE id = :id AND advance_time IS NOT NULL")
    async with mesh.app("sender").database.pipeline.connect() as connection:
        assert await connection.scalar(query, {"id": queued.id >> 17}) == "DONE"


async def restored(mesh: TestMesh, seconds: float = 0) -> StopForgottenResponse:
    """What was stopped, as if the database had gone back by so much."""
    request = StopForgottenRequest(goes_on=not seconds)
    request.restore_time.FromDatetime(datetime.now(UTC) - timedelta(seconds=seconds))
    peer = await mesh.service("sender", caller="ops")
    return await RestoreServiceStub(peer.channel).StopForgotten(request, metadata=peer.metadata(), timeout=20)


async def test_what_waits_when_the_database_went_back_is_given_up(
    mesh: TestMesh, mitto: MittoStandIn, shop: Shop
) -> None:
    """It may have been sent in the time that is forgotten; and no id of that time is given again."""
    while (await restored(mesh)).stopped:
        pass
    to = phone()
    waiting = await send(shop, to=to)
    assert (await restored(mesh, 60)).stopped == {"single texts": 1}
    assert (await ended(shop, waiting.id, Message.REJECTED)).error == "restored"
    hold = await closed(mesh, shop)
    assert (hold.captured, hold.released) == (0, 1)
    peer = await mesh.service("sender", caller="ops")
    await RouteOperationsServiceStub(peer.channel).ResumeRoute(
        ResumeRouteRequest(), metadata=peer.metadata(), timeout=20
    )
    later = await send(shop, to=to)
    await ended(shop, later.id, Message.ACCEPTED)
    assert (later.id - waiting.id) >> 17 > 60 * 200
    assert len(mitto.accepted(to)) == 1
