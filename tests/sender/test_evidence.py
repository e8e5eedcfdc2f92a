"""What can't be known is resolved by evidence: our reference in a report, or what the provider says that it sent."""

import asyncio
from typing import Any

import grpc
import pytest

from astronote.campaigns.v1 import campaigns_pb2 as campaigns
from astronote.campaigns.v1.campaigns_pb2_grpc import LinksServiceStub
from astronote.campaigns.v1.events_pb2 import LinkOpened
from astronote.contacts.v1.audience_pb2 import ActivityCondition
from astronote.sender.v1.sender_pb2 import Message
from deploy.local.mitto import MittoStandIn
from services.sender import delivery, evidence
from services.sender.evidence import CODE, NOBODY
from tests.conftest import TestMesh
from tests.sender import road
from tests.sender.road import Shop

SILENT = {"delayMs": 0, "delivered": 0, "failed": 0, "silent": 1}
LOST = {"outcomes": {"ok": 0, "acceptAndDrop": 1}, "reports": SILENT}


def accepted(mitto: MittoStandIn, shop: Shop) -> list[dict[str, Any]]:
    """What the provider has for these phones: the oracle."""
    return [message for phone in shop.phones for message in mitto.accepted(phone)]


async def unknown(mesh: TestMesh, count: int, text: str = "Hi {{first_name}}") -> tuple[Shop, str]:
    """A campaign of so many, all of it accepted by the provider, which we never heard."""
    shop = await Shop.opened(mesh, count)
    campaign_id = await shop.send(text)
    await shop.report(campaign_id, lambda report: report.counts.unknown == count)
    return shop, campaign_id


def reported(message: dict[str, Any], status: str, *, reference: bool) -> dict[str, Any]:
    found = {"messageId": message["messageId"], "deliveryStatus": status}
    return found | ({"reference": message["reference"]} if reference else {})


async def test_reports_that_carry_our_reference_resolve_what_is_unknown(mesh: TestMesh) -> None:
    async with road.provider(mesh, LOST) as mitto:
        shop, campaign_id = await unknown(mesh, 3)
        texts = accepted(mitto, shop)
        assert len(texts) == 3
        statuses = ["Delivered", "Failure", "Sent"]
        reports = [reported(*pair, reference=True) for pair in zip(texts, statuses, strict=True)]
        # Not in the order of the submission, doubled, and once without the reference before it.
        first = reported(texts[0], "Delivered", reference=False)
        await road.post(mesh, first)
        await road.post(mesh, *reversed(reports), *reports)
        report = await shop.report(campaign_id, lambda report: report.counts.unknown == 0)
        assert (report.counts.delivered, report.counts.failed, report.counts.accepted) == (1, 1, 1)
        assert report.credits.captured == report.credits.held
        assert not report.final
        # Contacts hears of them as of any other text.
        await shop.heard(ActivityCondition.TEXTED, 3)
        await shop.heard(ActivityCondition.DELIVERED, 1)
        await road.post(mesh, reported(texts[2], "Delivered", reference=False))
        report = await shop.report(campaign_id, lambda report: report.final)
        assert (report.counts.delivered, report.credits.captured) == (2, report.credits.held)
        await shop.heard(ActivityCondition.DELIVERED, 2)
        wallet = await shop.wallet()
        assert (wallet.held, wallet.spent) == (0, report.credits.held)
        by_id = {str(message.id): message for message in await shop.messages()}
        for message in texts:
            ours = by_id[message["reference"]]
            assert (ours.provider_message_id, ours.to) == (message["messageId"], message["destination"])


async def test_orphans_are_looked_up_and_their_link_says_whose_they_are(mesh: TestMesh) -> None:
    async with road.provider(mesh, LOST | {"echoReference": False}) as mitto:
        # What looks like a link of ours, and is none, leads nobody astray.
        shop, campaign_id = await unknown(mesh, 4, "Hi {{first_name}} /u/AAAAAAAAAAA /u/zzzzzzzzzzz")
        texts = accepted(mitto, shop)
        assert all(message["reference"] is None for message in texts)
        strange = {"messageId": "0123-nobody-knows-it", "deliveryStatus": "Delivered"}
        looked_up = evidence.LOOKED_UP.labels("not ours")._value.get()
        await road.post(mesh, strange, *(reported(message, "Delivered", reference=False) for message in texts))
        report = await shop.report(campaign_id, lambda report: report.final)
        assert (report.counts.delivered, report.credits.captured) == (4, report.credits.held)
        for ours in await shop.messages():
            (message,) = mitto.accepted(ours.to)
            assert ours.provider_message_id == message["messageId"]
        # What was never given is asked about once.
        await asyncio.sleep(2)
        assert evidence.LOOKED_UP.labels("not ours")._value.get() == looked_up + 1


async def look(mesh: TestMesh, message: dict[str, Any], times: int = 1) -> None:
    """Opens the link of a text."""
    found = CODE.search(message["text"])
    assert found
    peer = await mesh.service("campaigns")
    for _ in range(times):
        await LinksServiceStub(peer.channel).ShowUnsubscribe(
            campaigns.ShowUnsubscribeRequest(code=found[1]), metadata=peer.metadata(role="public"), timeout=10
        )


async def test_an_opened_link_proves_that_its_text_was_accepted(mesh: TestMesh) -> None:
    async with road.provider(mesh, LOST | {"echoReference": False}) as mitto:
        shop, campaign_id = await unknown(mesh, 3)
        first, second, _ = accepted(mitto, shop)
        await look(mesh, first, times=3)
        report = await shop.report(campaign_id, lambda report: report.counts.accepted == 1)
        assert (report.counts.unknown, report.credits.captured * 3) == (2, report.credits.held)
        by_phone = {message.to: message for message in await shop.messages()}
        opened = by_phone[first["destination"]]
        assert (opened.state, opened.provider_message_id) == (Message.ACCEPTED, "")
        await shop.heard(ActivityCondition.TEXTED, 1)
        # The report comes later, and is ours though we never heard its id.
        await road.post(mesh, reported(first, "Delivered", reference=False))
        await shop.report(campaign_id, lambda report: report.counts.delivered == 1)
        # What is known already moves no more.
        await look(mesh, second)
        await road.post(mesh, *(reported(each, "Failure", reference=False) for each in accepted(mitto, shop)))
        report = await shop.report(campaign_id, lambda report: report.final)
        assert (report.counts.delivered, report.counts.failed) == (1, 2)
        assert report.credits.captured == report.credits.held == (await shop.wallet()).spent


async def test_a_link_that_is_looked_at_all_day_is_said_once(mesh: TestMesh) -> None:
    async with road.provider(mesh, LOST) as mitto:
        shop, _ = await unknown(mesh, 2)
        said: list[LinkOpened] = []
        subscription = await mesh.app("campaigns").bus.client.subscribe(f"event.{LinkOpened.DESCRIPTOR.full_name}")
        texts = accepted(mitto, shop)
        await asyncio.gather(*(look(mesh, texts[0], times=5) for _ in range(4)))
        await look(mesh, texts[1])
        while not said or said[-1].message_id == said[0].message_id:
            said.append(LinkOpened.FromString((await subscription.next_msg(timeout=10)).data))
        await subscription.unsubscribe()
        assert len(said) == 2
        by_phone = {message.to: message for message in await shop.messages()}
        for event, sent in zip(said, texts, strict=True):
            ours = by_phone[sent["destination"]]
            assert (event.merchant_id, event.message_id) == (shop.merchant_id, ours.id)
            assert (event.contact_id, event.kind) == (ours.contact_id, LinkOpened.UNSUBSCRIBE)


async def test_what_nothing_proves_expires_and_its_credits_come_back(mesh: TestMesh) -> None:
    settings = {"validity_seconds": 1, "unknown_grace_seconds": 2}
    async with road.provider(mesh, LOST, **settings) as mitto:
        shop, campaign_id = await unknown(mesh, 2)
        report = await shop.report(campaign_id, lambda report: report.final)
        assert (report.counts.expired, report.credits.captured) == (2, 0)
        wallet = await shop.wallet()
        assert (wallet.available, wallet.held, wallet.spent) == (1000, 0, 0)
        late = delivery.LATE._value.get()
        await road.post(mesh, *(reported(message, "Delivered", reference=True) for message in accepted(mitto, shop)))
        async with asyncio.timeout(10):
            while delivery.LATE._value.get() < late + 2:
                await asyncio.sleep(0.05)
        assert {message.state for message in await shop.messages()} == {Message.EXPIRED}
        assert (await shop.wallet()).spent == 0


async def test_a_code_resolves_to_its_message_for_the_sender_only(mesh: TestMesh) -> None:
    peer = await mesh.service("campaigns", caller="sender")
    codes = LinksServiceStub(peer.channel)
    for code in ("0000000000", "zzzzzzzzzzz", "ΑΒΓΔΕΖΗΘΙΚΛ", "-----------"):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await codes.ResolveCode(campaigns.ResolveCodeRequest(code=code), metadata=peer.metadata(NOBODY), timeout=10)
        assert refused.value.code() == grpc.StatusCode.NOT_FOUND
    peer = await mesh.service("campaigns", caller="contacts")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await LinksServiceStub(peer.channel).ResolveCode(
            campaigns.ResolveCodeRequest(code="0" * 11), metadata=peer.metadata(NOBODY), timeout=10
        )
    assert refused.value.code() == grpc.StatusCode.PERMISSION_DENIED
