"""What a merchant may do with a campaign at which time: edit, copy, archive."""

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from astronote.campaigns.v1 import campaigns_pb2 as pb
from astronote.campaigns.v1.campaigns_pb2_grpc import CampaignsServiceStub
from services.campaigns import states
from services.campaigns.errors import WrongState
from tests.campaigns.shop import Shop, refusal

State = pb.Campaign.State
MOVES = {"send": "DRAFT", "pause": "PREPARING SENDING", "resume": "PAUSED", "archive": "COMPLETED FAILED CANCELLED"}


@pytest.mark.parametrize(("verb", "allowed"), MOVES.items())
def test_a_verb_is_refused_in_every_other_state_and_says_where_it_is_not(verb: str, allowed: str) -> None:
    for name, state in State.items()[1:]:
        if name in allowed.split():
            states.check(state, verb)
        else:
            with pytest.raises(WrongState) as raised:
                states.check(state, verb)
            assert (raised.value.metadata["state"], raised.value.metadata["verb"]) == (name, verb)
            assert set(allowed.split()) == set(raised.value.metadata["allowed"].split(","))


async def edit(shop: Shop, id: str, path: str, value: str) -> pb.Campaign:
    request = pb.UpdateCampaignRequest(
        campaign=pb.Campaign(id=id, **{path: value}), update_mask=FieldMask(paths=[path])
    )
    return await shop.call(CampaignsServiceStub, "UpdateCampaign", request)


async def listed(shop: Shop, **fields: object) -> list[str]:
    page = await shop.call(CampaignsServiceStub, "ListCampaigns", pb.ListCampaignsRequest(**fields))
    return [campaign.id for campaign in page.campaigns]


async def test_what_has_ended_keeps_its_text_may_be_renamed_archived_and_copied(rich_shop: Shop) -> None:
    await rich_shop.contact("+306911111111")
    campaign = await rich_shop.campaign(text="Γεια {{first_name}}", sender_name="Bar", offer_link=True)
    assert (await refusal(rich_shop.do("ArchiveCampaign", campaign.id)))[0] == "WRONG_STATE"
    await rich_shop.do("SendCampaign", campaign.id)
    await rich_shop.do("CancelCampaign", campaign.id)
    assert (await refusal(edit(rich_shop, campaign.id, "text", "Other")))[0] == "WRONG_STATE"
    assert (await edit(rich_shop, campaign.id, "name", "Spring")).name == "Spring"
    first = await rich_shop.do("ArchiveCampaign", campaign.id)
    assert await rich_shop.do("ArchiveCampaign", campaign.id) == first
    assert await listed(rich_shop) == []
    assert await listed(rich_shop, show_archived=True) == [campaign.id]
    copy = await rich_shop.do("CopyCampaign", campaign.id, request_id="copy")
    assert await rich_shop.do("CopyCampaign", campaign.id, request_id="copy") == copy
    assert (copy.state, copy.counts.targeted, copy.HasField("archive_time")) == (pb.Campaign.DRAFT, 0, False)
    kept = ("name", "text", "sender_name", "offer_link", "audience")
    assert [getattr(copy, field) for field in kept] == [getattr(first, field) for field in kept]
    assert (await rich_shop.do("CopyCampaign", campaign.id, name="Summer")).name == "Summer"
    assert (await refusal(rich_shop.do("CopyCampaign", campaign.id, name="x" * 101)))[0] == "CAMPAIGN_INVALID"
    await rich_shop.do("UnarchiveCampaign", campaign.id)
    assert len(await listed(rich_shop)) == 3
