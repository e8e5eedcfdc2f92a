"""A test goes the road of the campaign, pays for itself, and stands in no books but its own."""

import pytest

from astronote.campaigns.v1 import campaigns_pb2 as pb
from tests.campaigns.shop import Shop, refusal, sending
from tests.campaigns.test_keeping import listed

OWN, OTHER = "+306911111111", "+306922222222"


async def test_a_test_is_a_small_campaign_beside_the_campaign(rich_shop: Shop) -> None:
    await rich_shop.contact(OWN, first_name="Μαρία", language="en")
    campaign = await rich_shop.campaign(text="Hi {{first_name}}, {{last_name|friend}}!")
    phones = [OTHER, OWN, OTHER]
    test = await rich_shop.do("TestCampaign", campaign.id, phones=phones, request_id="test")
    assert (test.kind, test.parent_id, test.counts.targeted) == (pb.Campaign.TEST, campaign.id, 2)
    assert (await rich_shop.do("TestCampaign", campaign.id, phones=phones, request_id="test")).id == test.id
    batch = await sending(rich_shop, test.id)
    texts = {each.phone: each.text.split("\n")[0] for each in batch.recipients}
    assert texts == {OTHER: "Hi [first_name], friend!", OWN: "Hi Μαρία, friend!"}
    assert (batch.expedited, batch.allow_strangers, batch.hold_id) == (True, True, test.id)
    assert [each.language for each in batch.recipients] == ["", "en"]
    report = await rich_shop.do("GetReport", test.id)
    assert (report.credits.held, report.counts.queued) == (sum(each.credits for each in batch.recipients), 2)
    # The campaign is the draft that it was.
    assert await rich_shop.do("GetCampaign", campaign.id) == campaign
    assert await listed(rich_shop) == [campaign.id]
    assert await listed(rich_shop, kind=pb.Campaign.TEST, parent_id=campaign.id) == [test.id]
    await rich_shop.do("CancelCampaign", test.id)
    await rich_shop.ended(test.id)


async def test_what_nobody_can_pay_for_is_not_sent(rich_shop: Shop) -> None:
    campaign = await rich_shop.campaign()
    phones = [f"+30691111111{digit}" for digit in range(5)]
    test = await rich_shop.do("TestCampaign", campaign.id, phones=phones)
    report = await rich_shop.ended(test.id)
    assert (report.state, dict(report.counts.skipped)) == (pb.Campaign.FAILED, {"insufficient_credits": 5})


@pytest.mark.parametrize("phones", [[], ["6912345678"], ["+30691234567Α"], [f"+30691234567{n}" for n in range(6)]])
async def test_phones_are_few_and_in_full(phones: list[str], shop: Shop) -> None:
    campaign = await shop.campaign()
    assert (await refusal(shop.do("TestCampaign", campaign.id, phones=phones)))[0] in (
        "CAMPAIGN_INVALID",
        "FIELD_REQUIRED",
    )
