"""What becomes of a campaign that the wallet will not pay for, for another reason than its price."""

import asyncio
from typing import Any

from astronote.campaigns.v1 import campaigns_pb2 as pb
from astronote.wallet.v1.guards_pb2 import SpendLimits, UpdateSpendLimitsRequest
from astronote.wallet.v1.guards_pb2_grpc import SpendingServiceStub
from tests.campaigns.shop import Shop, sending


async def limit(shop: Shop, **fields: Any) -> None:
    request = UpdateSpendLimitsRequest(spend_limits=SpendLimits(**fields))
    request.update_mask.paths.extend(fields)
    await shop.call(SpendingServiceStub, "UpdateSpendLimits", request, "wallet")


async def stopped(shop: Shop, id: str) -> pb.Campaign:
    """The campaign, when the wallet has answered."""
    async with asyncio.timeout(20):
        while (campaign := await shop.do("GetCampaign", id)).state == pb.Campaign.PREPARING:
            await asyncio.sleep(0.05)
    return campaign


async def test_a_campaign_that_passes_the_daily_cap_waits_for_the_merchant(rich_shop: Shop) -> None:
    await rich_shop.contact("+306911111111")
    await rich_shop.contact("+306911111112")
    await limit(rich_shop, daily_credits_max=1)
    id = (await rich_shop.campaign(text="Hello")).id
    for verb in ("SendCampaign", "ResumeCampaign"):
        await rich_shop.do(verb, id)
        campaign = await stopped(rich_shop, id)
        assert (campaign.state, campaign.failure) == (pb.Campaign.PAUSED, "DAILY_CAP_REACHED")
        assert campaign.counts.queued == 2
    await limit(rich_shop, daily_credits_max=2)
    await rich_shop.do("ResumeCampaign", id)
    assert len((await sending(rich_shop, id)).recipients) == 2
    assert (await rich_shop.do("GetCampaign", id)).failure == ""


async def test_a_campaign_to_a_country_that_is_not_allowed_fails(rich_shop: Shop) -> None:
    await rich_shop.contact("+306911111111")
    await rich_shop.contact("+35799123456")
    await limit(rich_shop, calling_codes=["+30"])
    id = (await rich_shop.campaign(text="Hello")).id
    await rich_shop.do("SendCampaign", id)
    report = await rich_shop.ended(id)
    assert report.state == pb.Campaign.FAILED
    assert dict(report.counts.skipped) == {"country_not_allowed": 2}
    assert (await rich_shop.do("GetCampaign", id)).failure == "COUNTRY_NOT_ALLOWED"
    await limit(rich_shop, calling_codes=["+30", "+357"])
    again = (await rich_shop.campaign(text="Hello")).id
    await rich_shop.do("SendCampaign", again)
    assert len((await sending(rich_shop, again)).recipients) == 2


async def test_a_paused_one_may_be_given_up(rich_shop: Shop) -> None:
    await rich_shop.contact("+306911111111")
    await rich_shop.contact("+306911111112")
    await limit(rich_shop, daily_credits_max=1)
    id = (await rich_shop.campaign(text="Hello")).id
    await rich_shop.do("SendCampaign", id)
    await stopped(rich_shop, id)
    await rich_shop.do("CancelCampaign", id)
    report = await rich_shop.ended(id)
    assert (report.state, dict(report.counts.skipped)) == (pb.Campaign.CANCELLED, {"cancelled": 2})
