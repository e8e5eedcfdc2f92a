"""What readers did is shown to them, and forgotten when it is old: not while the link to opt out has to work."""

import asyncio
from typing import Any

import pytest
from pydantic import ValidationError
from sqlalchemy import text

from astronote.campaigns.v1 import campaigns_pb2 as pb
from astronote.campaigns.v1.campaigns_pb2_grpc import LinksServiceStub
from astronote.campaigns.v1.privacy_pb2 import ExportPersonRequest, ExportPersonResponse
from astronote.campaigns.v1.privacy_pb2_grpc import PrivacyServiceStub
from services.campaigns.forgetting import ReaderRetention
from services.campaigns.settings import Settings
from tests.campaigns.shop import Shop, opened, refusal, sending
from tests.campaigns.shop import age as sent_ago
from tests.conftest import TestMesh

YEAR_SECONDS = 366 * 86400


@pytest.fixture
async def reading(rich_shop: Shop) -> tuple[Shop, str, list[int], list[str]]:
    """A campaign of two that is being sent; its messages, and the codes of their links."""
    for phone in ("+306911111111", "+306911111112"):
        await rich_shop.contact(phone)
    campaign = await rich_shop.campaign(text="Hi", offer_link=True)
    await rich_shop.do("SendCampaign", campaign.id)
    batch = await sending(rich_shop, campaign.id)
    await sent_ago(rich_shop, campaign.id)
    codes = [recipient.text.split("/o/")[1].split()[0] for recipient in batch.recipients]
    return rich_shop, campaign.id, [batch.first_message_id, batch.first_message_id + 1], codes


async def looked_at(shop: Shop, code: str) -> Any:
    return await opened(shop, LinksServiceStub, "ShowOffer", pb.ShowOfferRequest(code=code))


async def shown(shop: Shop, merchant_id: str, message_ids: list[int]) -> list[ExportPersonResponse]:
    peer = await shop.mesh.service("campaigns", caller="contacts")
    request, metadata = ExportPersonRequest(message_ids=message_ids), peer.metadata(merchant_id)
    return [each async for each in PrivacyServiceStub(peer.channel).ExportPerson(request, metadata=metadata)]


async def test_what_a_reader_did_is_shown_to_the_merchant_alone(
    reading: tuple[Shop, str, list[int], list[str]], merchant_id: str
) -> None:
    shop, campaign_id, message_ids, codes = reading
    for _ in range(2):
        await looked_at(shop, codes[1])
    (response,) = await shown(shop, shop.merchant_id, message_ids)
    assert (response.message_id, response.campaign_id, response.views) == (message_ids[1], campaign_id, 2)
    assert await shown(shop, shop.merchant_id, message_ids[:1]) == []
    assert await shown(shop, shop.merchant_id, []) == []
    assert await shown(shop, merchant_id, message_ids) == []


async def age(mesh: TestMesh, campaign_id: str, days: int) -> None:
    """As if the campaign's books had been closed so long ago."""
    statement = "UPDATE campaigns SET final = true, finish_time = now() - make_interval(days => :days) WHERE id = :id"
    async with mesh.app("campaigns").database.pipeline.begin() as connection:
        await connection.execute(text(statement), {"days": days, "id": campaign_id})


async def test_old_readers_are_forgotten_and_their_counts_stay(
    reading: tuple[Shop, str, list[int], list[str]],
) -> None:
    shop, campaign_id, message_ids, codes = reading
    await looked_at(shop, codes[0])
    retention = ReaderRetention(shop.mesh.app("campaigns").database, YEAR_SECONDS)
    await shop.do("CancelCampaign", campaign_id)
    # A campaign that is not over, or young, keeps its links, and so does every one where nothing is to be forgotten.
    assert not await retention.step()
    await age(shop.mesh, campaign_id, 365)
    assert not await retention.step()
    await age(shop.mesh, campaign_id, 367)
    assert not await ReaderRetention(shop.mesh.app("campaigns").database, 0).step()
    await looked_at(shop, codes[0])
    report = await shop.do("GetReport", campaign_id)
    async with asyncio.timeout(20):
        # What the sender still has to say of the cancelled campaign comes in between, and it may be locked by it.
        while not await retention.step():
            await asyncio.sleep(0.05)
            await age(shop.mesh, campaign_id, 367)
    assert not await retention.step()
    for code in codes:
        assert (await refusal(looked_at(shop, code)))[0] == "LINK_NOT_FOUND"
    kept = await shop.do("GetReport", campaign_id)
    # What happened when is told a moment later.
    for each in (kept, report):
        each.ClearField("timeline")
    assert kept == report
    assert [each.views for each in await shown(shop, shop.merchant_id, message_ids)] == [2]
    async with shop.mesh.app("campaigns").database.pipeline.connect() as connection:
        left = text("SELECT payload, after_phone FROM batches JOIN campaigns c ON c.id = campaign_id WHERE c.id = :id")
        assert [tuple(row) for row in await connection.execute(left, {"id": campaign_id})] == [(b"", "")]


@pytest.mark.parametrize("days", [-1, 1, 365])
def test_a_setting_that_breaks_links_within_a_year_is_refused(days: int) -> None:
    with pytest.raises(ValidationError, match="reader_retention_seconds\n  Value error, must be 0 or at least"):
        Settings(reader_retention_seconds=days * 86400)
