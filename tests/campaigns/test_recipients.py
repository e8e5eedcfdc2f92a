"""Who stands where in a campaign, and why somebody did or did not get its text: through the road with a real sender."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from astronote.campaigns.v1 import campaigns_pb2 as pb
from astronote.campaigns.v1.campaigns_pb2_grpc import CampaignsServiceStub
from astronote.campaigns.v1.reports_pb2 import (
    ExplainRecipientRequest,
    Explanation,
    ListRecipientsRequest,
    ListRecipientsResponse,
    Step,
)
from astronote.campaigns.v1.reports_pb2_grpc import ResultsServiceStub
from astronote.contacts.v1 import contacts_pb2 as contacts
from astronote.contacts.v1.contacts_pb2_grpc import ContactsServiceStub
from astronote.sender.v1.sender_pb2 import Message
from deploy.local.mitto import MittoStandIn
from tests.campaigns.shop import refusal
from tests.conftest import TestMesh
from tests.sender.road import Shop, post, provider

DELIVERED, FAILED = Message.DELIVERED, Message.FAILED


@pytest.fixture(scope="module")
async def mitto(mesh: TestMesh) -> AsyncIterator[MittoStandIn]:
    async with provider(mesh, {"reports": {"silent": 1}}) as mitto:
        yield mitto


async def listed(shop: Shop, id: str, **fields: Any) -> ListRecipientsResponse:
    request = ListRecipientsRequest(id=id, **fields)
    return await shop.call("campaigns", ResultsServiceStub, "ListRecipients", request)


async def everybody(shop: Shop, id: str, **fields: Any) -> list[Message]:
    found, token = list[Message](), ""
    while True:
        page = await listed(shop, id, page_token=token, **fields)
        found += page.recipients
        if not (token := page.next_page_token):
            return found


async def explained(shop: Shop, **fields: Any) -> Explanation:
    request = ExplainRecipientRequest(**fields)
    return await shop.call("campaigns", ResultsServiceStub, "ExplainRecipient", request)


def chain(explanation: Explanation) -> list[tuple[str, str, str]]:
    return [(Step.Kind.Name(s.kind), Step.Verdict.Name(s.verdict), s.reason) for s in explanation.steps]


ROAD = [
    ("AUDIENCE", "PASSED", ""),
    ("CONSENT", "NOTED", "nothing_on_record"),
    ("PRICE", "PASSED", ""),
    ("TIMING", "PASSED", ""),
    ("SUPPRESSION", "PASSED", ""),
    ("ATTEMPT", "PASSED", ""),
    ("PROVIDER", "PASSED", "accepted"),
]


async def test_everybody_is_listed_where_they_stand_with_what_led_there(mesh: TestMesh, mitto: MittoStandIn) -> None:
    shop = await Shop.opened(mesh, 5)
    id = await shop.send()
    await shop.report(id, lambda report: report.counts.accepted == 5)
    first, second, *_ = await everybody(shop, id)
    statuses = ((first, "Delivered"), (second, "Failure"))
    await post(mesh, *({"messageId": m.provider_message_id, "deliveryStatus": said} for m, said in statuses))
    await shop.report(id, lambda report: report.counts.delivered == report.counts.failed == 1)
    found = await everybody(shop, id, page_size=2)
    assert [message.to for message in found] == shop.phones
    assert [message.id for message in found] == sorted(message.id for message in found)
    assert [message.to for message in await everybody(shop, id, state=DELIVERED)] == shop.phones[:1]
    assert [message.to for message in await everybody(shop, id, state=FAILED, page_size=1)] == shop.phones[1:2]
    assert await everybody(shop, id, state=Message.QUEUED) == []
    delivered = await explained(shop, message_id=first.id)
    assert chain(delivered)[1][0] == "CONSENT"
    assert [each for each in chain(delivered) if each[0] != "CONSENT"] == [
        *(each for each in ROAD if each[0] != "CONSENT"),
        ("REPORT", "PASSED", "delivered"),
        ("MONEY", "NOTED", "captured"),
    ]
    assert delivered.text.startswith("Hi Maria")
    assert delivered.audience.all
    failed = await explained(shop, campaign_id=id, contact_id=second.contact_id)
    assert (failed.message_id, chain(failed)[-2:]) == (
        second.id,
        [("REPORT", "STOPPED", "failed"), ("MONEY", "NOTED", "captured")],
    )
    waiting = await explained(shop, message_id=found[4].id)
    assert chain(waiting)[-2] == ("REPORT", "PENDING", "accepted")


async def test_who_is_no_recipient_is_told_so(mesh: TestMesh, mitto: MittoStandIn) -> None:
    shop, stranger = await Shop.opened(mesh, 1), await Shop.opened(mesh, 1)
    id = await shop.send()
    await shop.report(id, lambda report: report.counts.accepted == 1)
    (message,) = await everybody(shop, id)
    late = contacts.CreateContactRequest(contact=contacts.Contact(phone="+306911111119"))
    newcomer = await shop.call("contacts", ContactsServiceStub, "CreateContact", late)
    told = await explained(shop, campaign_id=id, contact_id=newcomer.id)
    assert (told.message_id, chain(told)[0]) == (0, ("AUDIENCE", "STOPPED", "no_text_was_made"))
    for wrong in ({"message_id": message.id}, {"campaign_id": id, "contact_id": message.contact_id}):
        assert (await refusal(explained(stranger, **wrong)))[0] in ("RECIPIENT_NOT_FOUND", "CAMPAIGN_NOT_FOUND")
    for wrong in ({"message_id": message.id + 1}, {"message_id": 1 << 62}, {"message_id": -1}, {}):
        assert (await refusal(explained(shop, **wrong)))[0] in ("RECIPIENT_NOT_FOUND", "CAMPAIGN_NOT_FOUND")
    for contact_id in ("", "x", "00000000-0000-4000-8000-000000000000"):
        assert (await refusal(explained(shop, campaign_id=id, contact_id=contact_id)))[0] == "RECIPIENT_NOT_FOUND"
    assert (await refusal(listed(stranger, id)))[0] == "CAMPAIGN_NOT_FOUND"


async def test_who_waits_and_who_was_left_out_are_listed_too(mesh: TestMesh, mitto: MittoStandIn) -> None:
    mitto.change_behaviour({"outcomes": {"ok": 0, "tooMany": 1}})
    shop = await Shop.opened(mesh, 2)
    id = await shop.send()
    await shop.report(id, lambda report: report.state == pb.Campaign.SENDING)
    waiting = await everybody(shop, id, state=Message.QUEUED, page_size=1)
    assert [message.to for message in waiting] == shop.phones
    assert await everybody(shop, id, state=DELIVERED) == []
    told = chain(await explained(shop, message_id=waiting[0].id))
    assert [each for each in told if each[0] != "CONSENT"][-1][0] == "TIMING"
    await shop.call("campaigns", CampaignsServiceStub, "CancelCampaign", pb.CancelCampaignRequest(id=id))
    await shop.report(id, lambda report: report.counts.skipped["cancelled"] == 2)
    skipped = await everybody(shop, id, state=Message.SKIPPED)
    assert [(message.to, message.error) for message in skipped] == [(phone, "cancelled") for phone in shop.phones]
    assert chain(await explained(shop, message_id=skipped[0].id))[-1] == ("MONEY", "NOTED", "released")
    mitto.change_behaviour({"outcomes": {"ok": 1, "tooMany": 0}})
