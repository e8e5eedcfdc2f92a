"""Offers: what a campaign may offer, what its quote counts, and the till, where each is redeemed once."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import update

from astronote.campaigns.v1 import campaigns_pb2 as pb
from astronote.campaigns.v1.campaigns_pb2_grpc import CampaignsServiceStub, LinksServiceStub
from astronote.campaigns.v1.events_pb2 import OfferRedeemed
from astronote.campaigns.v1.offers_pb2 import GetOfferRequest, Offer, OfferTerms, RedeemOfferRequest
from astronote.campaigns.v1.offers_pb2_grpc import OffersServiceStub
from services.campaigns.tables import campaigns
from tests.campaigns.shop import Shop, age, opened, refusal, registered, sending
from tests.conftest import TestMesh

PHONES = ["+306911111111", "+306911111112"]
EXPIRE_TIME = "campaign.offer.expire_time"
ENDED = "2026-01-01T00:00:00Z"
TERMS = OfferTerms(title="-20% <b>", text="Coffee\nonly & tea")


@pytest.fixture(scope="module")
async def till_mesh(mesh: TestMesh) -> AsyncIterator[TestMesh]:
    async with mesh.with_settings("wallet", welcome_credits=100, welcome_plan="starter"):
        yield mesh


@pytest.fixture
async def till(till_mesh: TestMesh) -> Shop:
    shop = await registered(till_mesh, sender_name="Cafe")
    for phone in PHONES:
        await shop.contact(phone, first_name="Μαρία", language="en" if phone == PHONES[1] else "")
    return shop


async def offered(shop: Shop, **fields: Any) -> tuple[str, list[str]]:
    """A campaign that is being sent, and the codes of its links."""
    campaign = await shop.campaign(offer_link=True, **{"offer": TERMS, **fields})
    await shop.do("SendCampaign", campaign.id)
    batch = await sending(shop, campaign.id)
    await age(shop, campaign.id)
    return campaign.id, [recipient.text.split("/o/")[1].split()[0] for recipient in batch.recipients]


async def show(shop: Shop, code: str, kind: str = "Offer", **fields: str) -> str:
    request = getattr(pb, f"Show{kind}Request")(code=code, **fields)
    page = await opened(shop, LinksServiceStub, f"Show{kind}", request)
    assert page.content_type == "text/html; charset=utf-8"
    return str(page.data.decode())


async def redeem(shop: Shop, code: str, request_id: str = "", **who: str) -> Offer:
    peer = await shop.mesh.service("campaigns")
    metadata = peer.metadata(shop.merchant_id, "merchant", **who)
    request = RedeemOfferRequest(code=code, request_id=request_id)
    return await OffersServiceStub(peer.channel).RedeemOffer(request, metadata=metadata, timeout=20)


async def look(shop: Shop, code: str) -> Offer:
    return await shop.call(OffersServiceStub, "GetOffer", GetOfferRequest(code=code))


async def test_a_quote_counts_the_offers_link_to_the_credit(till: Shop) -> None:
    for text in ("Γεια σου {{first_name}}", "Hi {{offer_link}}"):
        campaign = await till.campaign(text=text, offer_link=True)
        quote = await till.do("QuoteCampaign", campaign.id)
        await till.do("SendCampaign", campaign.id)
        batch = await sending(till, campaign.id)
        assert quote.credits == sum(recipient.credits for recipient in batch.recipients)
        for sample, recipient in zip(quote.sample, batch.recipients, strict=True):
            code = recipient.text.split("/o/")[1].split()[0]
            assert sample.rendering.text.replace("0" * 11, code) == recipient.text
        assert [recipient.language for recipient in batch.recipients] == ["", "en"]


@pytest.mark.parametrize(
    ("fields", "reason", "field"),
    [
        ({"offer": OfferTerms(title="a" * 81)}, "CAMPAIGN_INVALID", "campaign.offer.title"),
        ({"offer": OfferTerms(text="a" * 601)}, "CAMPAIGN_INVALID", "campaign.offer.text"),
        ({"offer": OfferTerms(expire_time=Timestamp(seconds=253_402_300_799))}, "CAMPAIGN_INVALID", EXPIRE_TIME),
        ({"offer": OfferTerms(expire_time=Timestamp(seconds=10**15))}, "CAMPAIGN_INVALID", EXPIRE_TIME),
        ({"text": "See {{offer_link}}"}, "TEXT_INVALID", "campaign.text"),
    ],
)
async def test_a_wrong_offer_is_refused(till: Shop, fields: dict[str, Any], reason: str, field: str) -> None:
    found, metadata = await refusal(till.campaign(**fields))
    assert (found, metadata["field"]) == (reason, field)


async def test_an_offer_is_edited_and_taken_back(till: Shop) -> None:
    campaign = await till.campaign(offer_link=True, offer=TERMS, text="See {{offer_link}}")
    assert campaign.offer == TERMS

    async def update(paths: list[str], **fields: Any) -> pb.Campaign:
        changed = pb.Campaign(id=campaign.id, **fields)
        request = pb.UpdateCampaignRequest(campaign=changed, update_mask=FieldMask(paths=paths))
        return await till.call(CampaignsServiceStub, "UpdateCampaign", request)

    assert (await update(["offer"], offer=OfferTerms(title="New"))).offer.title == "New"
    assert (await refusal(update(["offer_link"])))[0] == "TEXT_INVALID"
    changed = await update(["offer_link", "text", "offer"], text="No offer")
    assert (changed.offer_link, changed.HasField("offer")) == (False, False)


async def test_an_offer_that_has_ended_is_not_sent(till: Shop) -> None:
    over = OfferTerms(expire_time=datetime.now(UTC) - timedelta(seconds=1))
    campaign = await till.campaign(offer_link=True, offer=over)
    assert (await refusal(till.do("SendCampaign", campaign.id)))[0] == "OFFER_EXPIRED"


async def test_the_page_shows_what_is_offered_and_nothing_of_the_reader(till: Shop) -> None:
    campaign_id, (code, english) = await offered(till)
    page = await show(till, code)
    offer = await look(till, code)
    spaced = f"{offer.till_code[:3]} {offer.till_code[3:6]} {offer.till_code[6:]}"
    assert '<html lang="el">' in page
    assert "-20% &lt;b&gt;" in page
    assert "Coffee\nonly &amp; tea" in page
    assert spaced in page
    assert "<svg" in page
    assert "<script" not in page
    assert "Μαρία" not in page
    assert PHONES[0][3:] not in page
    assert len(page.encode()) < 8000
    assert '<html lang="en">' in await show(till, english)
    assert '<html lang="en">' in await show(till, code, language="en")
    assert '<html lang="el">' in await show(till, code, language="xx")
    assert (offer.state, offer.campaign_id, offer.terms) == (Offer.OPEN, campaign_id, TERMS)


async def test_a_code_of_a_text_without_an_offer_leads_to_none(till: Shop) -> None:
    campaign = await till.campaign()
    await till.do("SendCampaign", campaign.id)
    code = (await sending(till, campaign.id)).recipients[0].text[-11:]
    await show(till, code, "Unsubscribe")
    assert (await refusal(show(till, code)))[0] == "LINK_NOT_FOUND"
    assert (await refusal(look(till, code)))[0] == "OFFER_NOT_FOUND"
    report = await till.do("GetReport", campaign.id)
    assert (report.views, report.viewers, report.unsubscribes) == (0, 0, 0)


async def test_views_and_viewers_are_counted_however_many_come_at_once(till: Shop) -> None:
    campaign_id, codes = await offered(till)
    await asyncio.gather(*(show(till, code) for code in codes * 10))
    report = await till.do("GetReport", campaign_id)
    assert (report.views, report.viewers, report.redemptions) == (20, 2, 0)
    till_codes = {(await look(till, code)).till_code for code in codes}
    assert len(till_codes) == 2


async def test_who_leaves_by_the_link_is_counted_once(till: Shop) -> None:
    campaign_id, (code, _) = await offered(till)
    peer = await till.mesh.service("campaigns")
    leave = LinksServiceStub(peer.channel).Unsubscribe
    public = {"metadata": peer.metadata(role="public"), "timeout": 20}
    pages = await asyncio.gather(*(leave(pb.UnsubscribeRequest(code=code), **public) for _ in range(4)))
    assert all("<h1>Έγινε</h1>" in page.data.decode() for page in pages)
    report = await till.do("GetReport", campaign_id)
    assert (report.unsubscribes, report.viewers) == (1, 0)


async def test_an_offer_is_redeemed_once_whoever_asks_at_the_same_moment(till: Shop) -> None:
    campaign_id, (code, other) = await offered(till)
    till_code = (await look(till, code)).till_code
    user_id = str(uuid.uuid4())
    forms = [code, till_code, f"{till_code[:3]} {till_code[3:6]}-{till_code[6:]}"]
    subject = f"event.{OfferRedeemed.DESCRIPTOR.full_name}"
    subscription = await till.mesh.app("campaigns").bus.client.subscribe(subject)
    calls = (redeem(till, form, user_id=user_id) for form in forms * 4)
    ended = await asyncio.gather(*calls, return_exceptions=True)
    redeemed = [offer for offer in ended if isinstance(offer, Offer)]
    assert [(offer.state, offer.redeem_user_id) for offer in redeemed] == [(Offer.REDEEMED, user_id)]
    reason, metadata = await refusal(redeem(till, till_code))
    assert reason == "ALREADY_REDEEMED"
    assert metadata["redeem_time"] == redeemed[0].redeem_time.ToJsonString()
    assert metadata["redeem_user_id"] == user_id
    event = OfferRedeemed.FromString((await subscription.next_msg(timeout=10)).data)
    assert (event.merchant_id, event.campaign_id) == (till.merchant_id, campaign_id)
    assert (event.message_id, event.redeem_time) == (redeemed[0].message_id, redeemed[0].redeem_time)
    assert event.contact_id == redeemed[0].contact_id != ""
    assert subscription.pending_msgs == 0
    await subscription.unsubscribe()
    assert "Η προσφορά χρησιμοποιήθηκε" in await show(till, code)
    assert (await redeem(till, other, api_key_id="key")).redeem_api_key_id == "key"
    assert (await till.do("GetReport", campaign_id)).redemptions == 2


async def test_the_same_request_id_gets_the_same_answer(till: Shop) -> None:
    campaign_id, (code, other) = await offered(till)
    answers = await asyncio.gather(*(redeem(till, code, "once") for _ in range(5)))
    assert len({answer.SerializeToString() for answer in answers}) == 1
    assert (await refusal(redeem(till, other, "once")))[0] == "IDEMPOTENCY_KEY_REUSED"
    assert (await till.do("GetReport", campaign_id)).redemptions == 1


async def test_nobody_redeems_another_merchants_offer(till: Shop, till_mesh: TestMesh) -> None:
    _, (code, _) = await offered(till)
    till_code = (await look(till, code)).till_code
    stranger = await registered(till_mesh, sender_name="Other")
    for asked in (code, till_code, "0" * 11, "z" * 11, "123", "٣" * 9, " "):
        assert (await refusal(redeem(stranger, asked)))[0] == "OFFER_NOT_FOUND"
        assert (await refusal(look(stranger, asked)))[0] == "OFFER_NOT_FOUND"
    assert (await look(till, code)).state == Offer.OPEN


async def test_an_offer_ends_with_its_time(till: Shop) -> None:
    terms = OfferTerms(title="Soon over")
    terms.expire_time.FromDatetime(datetime.now(UTC) + timedelta(days=1))
    campaign_id, (code, other) = await offered(till, offer=terms)
    assert (await redeem(till, other)).state == Offer.REDEEMED
    assert (await look(till, code)).state == Offer.OPEN
    await _end(till, campaign_id)
    assert (await look(till, code)).state != Offer.OPEN
    reason, metadata = await refusal(redeem(till, code))
    assert (reason, metadata["expire_time"]) == ("OFFER_EXPIRED", ENDED)
    assert "Η προσφορά έληξε" in await show(till, code)
    assert "Η προσφορά χρησιμοποιήθηκε" in await show(till, other, language="el")
    assert (await till.do("GetReport", campaign_id)).redemptions == 1


async def _end(shop: Shop, campaign_id: str) -> None:
    """As if the offer's time had come."""
    terms = OfferTerms(title="Soon over")
    terms.expire_time.FromJsonString(ENDED)
    ended = update(campaigns).where(campaigns.c.id == campaign_id).values(offer=terms)
    async with shop.mesh.app("campaigns").database.pipeline.begin() as connection:
        await connection.execute(ended)


async def test_an_opt_out_that_contacts_did_not_hear_of_is_not_shown_as_done(till: Shop) -> None:
    campaign = await till.campaign()
    await till.do("SendCampaign", campaign.id)
    code = (await sending(till, campaign.id)).recipients[0].text[-11:]

    async def unsubscribe() -> Any:
        peer = await till.mesh.service("campaigns")
        stub, request = LinksServiceStub(peer.channel), pb.UnsubscribeRequest(code=code)
        return await stub.Unsubscribe(request, metadata=peer.metadata(role="public"), timeout=20)

    await till.mesh.stop("contacts")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await unsubscribe()
    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
    assert (await till.do("GetReport", campaign.id)).unsubscribes == 0
    await till.mesh.service("contacts")
    # The page is still there, and its button works.
    await unsubscribe()
    assert (await till.do("GetReport", campaign.id)).unsubscribes == 1
