"""Templates and campaigns over gRPC: what merchants write, read, price and are refused."""

import asyncio
import uuid
from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from astronote.campaigns.v1 import campaigns_pb2 as pb
from astronote.campaigns.v1.campaigns_pb2_grpc import (
    BatchesServiceStub,
    CampaignsServiceStub,
    LinksServiceStub,
    TemplatesServiceStub,
)
from astronote.contacts.v1.contacts_pb2 import Contact
from tests.campaigns.shop import GREEK, Shop, refusal, registered, sending
from tests.conftest import TestMesh


async def test_a_template_is_versioned_by_its_text(shop: Shop) -> None:
    made = await shop.template()
    assert (made.version, made.system) == (1, False)

    async def update(paths: list[str], **fields: str) -> pb.Template:
        request = pb.UpdateTemplateRequest(
            template=pb.Template(id=made.id, **fields), update_mask=FieldMask(paths=paths)
        )
        return await shop.call(TemplatesServiceStub, "UpdateTemplate", request)

    assert (await update(["name"], name="Hello")).version == 1
    assert (await update(["text"], text=GREEK)).version == 1
    assert (await update(["text"], text="Hi")).version == 2
    assert (await refusal(update(["version"])))[0] == "MASK_INVALID"
    request = pb.GetTemplateRequest(id=made.id)
    assert (await shop.call(TemplatesServiceStub, "GetTemplate", request)).name == "Hello"
    await shop.call(TemplatesServiceStub, "DeleteTemplate", pb.DeleteTemplateRequest(id=made.id))
    assert (await refusal(shop.call(TemplatesServiceStub, "GetTemplate", request)))[0] == "TEMPLATE_NOT_FOUND"


@pytest.mark.parametrize(
    ("fields", "reason", "field"),
    [
        ({"name": ""}, "FIELD_REQUIRED", "template.name"),
        ({"name": " "}, "TEMPLATE_INVALID", "template.name"),
        ({"name": "a" * 101}, "TEMPLATE_INVALID", "template.name"),
        ({"language": "a" * 36}, "TEMPLATE_INVALID", "template.language"),
        ({"text": "{{nickname}}"}, "TEXT_INVALID", "template.text"),
    ],
)
async def test_a_wrong_template_is_refused(shop: Shop, fields: dict[str, str], reason: str, field: str) -> None:
    found, metadata = await refusal(shop.template(**fields))
    assert (found, metadata["field"]) == (reason, field)


async def test_a_preview_shows_what_ucs_2_costs(shop: Shop) -> None:
    made = await shop.template(text="Καλημέρα {{first_name|φίλε}}! " + "Έκπτωση είκοσι τοις εκατό. " * 4)
    request = pb.PreviewTemplateRequest(id=made.id, values={"first_name": "Μαρία"})
    preview = await shop.call(TemplatesServiceStub, "PreviewTemplate", request)
    assert preview.rendering.text.startswith("Καλημέρα Μαρία! ")
    assert (preview.rendering.encoding, preview.rendering.segments) == (pb.Rendering.UCS_2, 3)
    assert (preview.gsm_rendering.encoding, preview.gsm_rendering.segments) == (pb.Rendering.GSM_7, 1)
    assert "α" in preview.ucs2_characters


async def test_lists_go_by_pages(shop: Shop) -> None:
    made = [(await shop.campaign(name=f"C{number}")).id for number in range(5)]
    seen: list[str] = []
    token = ""
    while True:
        request = pb.ListCampaignsRequest(page_size=2, page_token=token)
        page = await shop.call(CampaignsServiceStub, "ListCampaigns", request)
        seen += [campaign.id for campaign in page.campaigns]
        if not (token := page.next_page_token):
            break
    assert seen == made[::-1]
    bad = pb.ListCampaignsRequest(page_token="$")
    assert (await refusal(shop.call(CampaignsServiceStub, "ListCampaigns", bad)))[0] == "PAGE_TOKEN_INVALID"


@pytest.mark.parametrize(
    ("fields", "reason", "field"),
    [
        ({"name": ""}, "FIELD_REQUIRED", "campaign.name"),
        ({"text": ""}, "CAMPAIGN_INVALID", "campaign.text"),
        ({"template_id": "x"}, "CAMPAIGN_INVALID", "campaign.text"),
        ({"text": "{{attributes.}}"}, "TEXT_INVALID", "campaign.text"),
        ({"sender_name": "ab"}, "CAMPAIGN_INVALID", "campaign.sender_name"),
        ({"sender_name": "Twelve chars"}, "CAMPAIGN_INVALID", "campaign.sender_name"),
        ({"audience": {"all": False}}, "AUDIENCE_INVALID", "audience"),
    ],
)
async def test_a_wrong_campaign_is_refused(shop: Shop, fields: dict[str, Any], reason: str, field: str) -> None:
    found, metadata = await refusal(shop.campaign(**fields))
    assert (found, metadata["field"]) == (reason, field)


async def test_the_same_request_id_makes_one_campaign(shop: Shop) -> None:
    made = await asyncio.gather(*(shop.campaign(request_id="once") for _ in range(10)))
    assert len({campaign.id for campaign in made}) == 1
    assert (await refusal(shop.campaign(request_id="once", name="Other")))[0] == "IDEMPOTENCY_KEY_REUSED"


async def test_a_campaign_keeps_the_text_that_its_template_had(shop: Shop) -> None:
    template = await shop.template(text="Before")
    campaign = await shop.campaign(text="", template_id=template.id)
    request = pb.UpdateTemplateRequest(
        template=pb.Template(id=template.id, text="After"), update_mask=FieldMask(paths=["text"])
    )
    await shop.call(TemplatesServiceStub, "UpdateTemplate", request)
    assert (await shop.do("GetCampaign", campaign.id)).text == "Before"
    unknown = shop.campaign(text="", template_id=str(uuid.uuid4()))
    assert (await refusal(unknown))[0] == "TEMPLATE_NOT_FOUND"


async def test_a_quote_is_exact_and_holds_nothing(rich_shop: Shop) -> None:
    await rich_shop.contact("+306911111111", first_name="Μαρία")
    await rich_shop.contact("+306911111112", first_name="Α" * 60)
    await rich_shop.contact("+306911111113", subscription=Contact.UNSUBSCRIBED)
    campaign = await rich_shop.campaign()
    quote = await rich_shop.do("QuoteCampaign", campaign.id)
    assert dict(quote.skipped) == {"opted_out": 1}
    assert (quote.recipients, quote.credits, quote.balance, quote.affordable) == (2, 3, 3, True)
    assert dict(quote.segments_histogram) == {1: 1, 2: 1}
    assert quote.sample[1].rendering.text.startswith("Γεια σου Μαρία\nhttp://shop.test/u/")
    assert (await rich_shop.do("GetCampaign", campaign.id)).state == pb.Campaign.DRAFT


async def test_a_send_is_refused_before_anything_moves(shop: Shop, rich_shop: Shop, rich_mesh: TestMesh) -> None:
    empty = await rich_shop.campaign()
    assert (await refusal(rich_shop.do("SendCampaign", empty.id)))[0] == "NO_RECIPIENTS"
    for number in range(4):
        await rich_shop.contact(f"+30691111112{number}")
    reason, metadata = await refusal(rich_shop.do("SendCampaign", empty.id))
    assert (reason, metadata["available"], metadata["shortfall_min"]) == ("INSUFFICIENT_CREDITS", "3", "1")
    nameless = await registered(rich_mesh)
    await nameless.contact("+306911111111")
    campaign = await nameless.campaign()
    assert (await refusal(nameless.do("SendCampaign", campaign.id)))[0] == "SENDER_NAME_MISSING"
    assert (await refusal(shop.do("SendCampaign", str(uuid.uuid4()))))[0] == "CAMPAIGN_NOT_FOUND"


async def test_a_price_that_turns_out_too_dear_fails_the_campaign_with_its_books_closed(rich_shop: Shop) -> None:
    for number in range(2):
        await rich_shop.contact(f"+30691111111{number}", first_name="Α" * 60)
    campaign = await rich_shop.campaign()
    sent = await asyncio.gather(*(rich_shop.do("SendCampaign", campaign.id, request_id="r") for _ in range(5)))
    assert {answer.state for answer in sent} == {pb.Campaign.PREPARING}
    report = await rich_shop.ended(campaign.id)
    assert report.state == pb.Campaign.FAILED
    assert dict(report.counts.skipped) == {"insufficient_credits": 2}
    assert (report.counts.targeted, report.counts.queued, report.credits.held) == (2, 0, 0)
    assert (await rich_shop.do("GetCampaign", campaign.id)).failure == "INSUFFICIENT_CREDITS"
    assert (await refusal(rich_shop.do("SendCampaign", campaign.id)))[0] == "WRONG_STATE"


async def test_a_batch_is_claimed_dropped_or_put_down_as_its_campaign_stands(rich_shop: Shop) -> None:
    await rich_shop.contact("+306911111111")
    campaign = await rich_shop.campaign()
    await rich_shop.do("SendCampaign", campaign.id)
    batch_id = (await sending(rich_shop, campaign.id)).batch_id

    async def verdict() -> Any:
        peer = await rich_shop.mesh.service("campaigns", caller="sender")
        answer = await BatchesServiceStub(peer.channel).ClaimBatch(
            pb.ClaimBatchRequest(batch_id=batch_id), metadata=peer.metadata(rich_shop.merchant_id), timeout=20
        )
        return answer.verdict

    await rich_shop.do("PauseCampaign", campaign.id)
    assert await verdict() == pb.ClaimBatchResponse.WAIT
    await rich_shop.do("ResumeCampaign", campaign.id)
    assert await verdict() == pb.ClaimBatchResponse.GO
    await rich_shop.do("CancelCampaign", campaign.id)
    assert await verdict() == pb.ClaimBatchResponse.STOP
    report = await rich_shop.do("GetReport", campaign.id)
    assert (report.counts.queued, report.final) == (1, False)


async def test_a_cancel_before_any_sender_began_drops_the_batch(rich_shop: Shop) -> None:
    if "sender" in rich_shop.mesh.running():
        pytest.skip("another test's sender runs in this process and begins at once")
    await rich_shop.contact("+306911111111")
    campaign = await rich_shop.campaign()
    await rich_shop.do("SendCampaign", campaign.id)
    batch_id = (await sending(rich_shop, campaign.id)).batch_id
    await rich_shop.do("CancelCampaign", campaign.id)
    peer = await rich_shop.mesh.service("campaigns", caller="sender")
    answer = await BatchesServiceStub(peer.channel).ClaimBatch(
        pb.ClaimBatchRequest(batch_id=batch_id), metadata=peer.metadata(rich_shop.merchant_id), timeout=20
    )
    assert answer.verdict == pb.ClaimBatchResponse.DROP
    report = await rich_shop.ended(campaign.id)
    assert dict(report.counts.skipped) == {"cancelled": 1}
    assert (report.credits.held, report.credits.released) == (1, 1)


async def test_a_link_that_nobody_was_sent_leads_nowhere(mesh: TestMesh) -> None:
    peer = await mesh.service("campaigns")
    for code in ("0" * 11, "zzzzzzzzzzz", "short", "Ω" * 11):
        call = LinksServiceStub(peer.channel).ShowUnsubscribe(
            pb.ShowUnsubscribeRequest(code=code), metadata=peer.metadata(role="public"), timeout=20
        )
        assert (await refusal(call))[0] == "LINK_NOT_FOUND"


async def test_an_update_is_checked_with_what_stands(shop: Shop) -> None:
    template = await shop.template(text="Before {{first_name}}")
    campaign = await shop.campaign(text="", template_id=template.id)

    async def update(paths: list[str], **fields: str) -> pb.Campaign:
        request = pb.UpdateCampaignRequest(
            campaign=pb.Campaign(id=campaign.id, **fields), update_mask=FieldMask(paths=paths)
        )
        return await shop.call(CampaignsServiceStub, "UpdateCampaign", request)

    assert (await refusal(update(["text"])))[0] == "CAMPAIGN_INVALID"
    assert (await refusal(update(["text"], template_id=str(uuid.uuid4()))))[0] == "TEMPLATE_NOT_FOUND"
    changed = await update(["text"], text="Mine")
    assert (changed.text, changed.template_id) == ("Mine", "")
    changed = await update(["template_id"], template_id=template.id)
    assert (changed.text, changed.template_id) == ("Before {{first_name}}", template.id)
    fields = "".join(f"{{{{attributes.a{number}}}}}" for number in range(51))
    assert (await refusal(update(["text"], text=fields)))[0] == "TEXT_INVALID"


async def test_a_text_that_its_values_make_too_long_is_skipped_and_not_paid_for(rich_shop: Shop) -> None:
    await rich_shop.contact("+306911111111", first_name="Μαρία")
    await rich_shop.contact("+306911111112", first_name="Α" * 100)
    campaign = await rich_shop.campaign(text="{{first_name}}" * 9)
    await rich_shop.do("SendCampaign", campaign.id)
    await sending(rich_shop, campaign.id)
    report = await rich_shop.do("GetReport", campaign.id)
    assert dict(report.counts.skipped) == {"text_too_long": 1}
    assert (report.counts.targeted, report.counts.queued, report.credits.held) == (2, 1, 2)
