"""Whom a campaign is for: any audience that contacts understands, frozen as of its start."""

from typing import Any

import pytest

from astronote.campaigns.v1 import campaigns_pb2 as pb
from astronote.campaigns.v1.campaigns_pb2_grpc import CampaignsServiceStub
from astronote.contacts.v1.audience_pb2 import Audience, Rule
from astronote.contacts.v1.contacts_pb2 import ListContactsRequest
from astronote.contacts.v1.contacts_pb2_grpc import ContactsServiceStub
from astronote.contacts.v1.lists_pb2 import AddListContactsRequest, CreateListRequest, DeleteListRequest, List
from astronote.contacts.v1.lists_pb2_grpc import ListsServiceStub
from tests.campaigns.shop import Shop, refusal, registered, sending
from tests.conftest import TestMesh

MEN = {"gender": "MALE"}
FIRST, SECOND = "+306900000001", "+306900000002"


@pytest.fixture
async def shop(mesh: TestMesh) -> Shop:
    shop = await registered(mesh, sender_name="Cafe", country="GR")
    await shop.contact(FIRST, first_name="Μαρία")
    await shop.contact(SECOND, first_name="Νίκος")
    return shop


async def listed(shop: Shop, *phones: str) -> str:
    made = await shop.call(ListsServiceStub, "CreateList", CreateListRequest(list=List(name="one")), "contacts")
    book = await shop.call(ContactsServiceStub, "ListContacts", ListContactsRequest(), "contacts")
    ids = [person.id for person in book.contacts if person.phone in phones]
    joined = AddListContactsRequest(id=made.id, contact_ids=ids)
    await shop.call(ListsServiceStub, "AddListContacts", joined, "contacts")
    return str(made.id)


async def test_a_campaign_goes_to_those_whom_its_audience_names(shop: Shop, mesh: TestMesh):
    one = await listed(shop, FIRST)
    for audience, phones in (
        (Audience(list_ids=[one]), [FIRST]),
        (Audience(all=True, exclude_list_ids=[one]), [SECOND]),
        (Audience(rule=Rule(field={"name": "first_name", "op": "EQUALS", "values": ["ΝΙΚΟΣ"]})), [SECOND]),
    ):
        draft = await shop.campaign(audience=audience)
        assert draft.audience == audience
        quote = await shop.do("QuoteCampaign", draft.id)
        assert (quote.recipients, [sample.to for sample in quote.sample]) == (1, phones)


async def test_what_is_frozen_is_what_the_audience_selects(mesh: TestMesh):
    async with mesh.with_settings("wallet", welcome_credits=100, welcome_plan="starter"):
        shop = await registered(mesh, sender_name="Cafe", country="GR")
        await shop.contact(FIRST)
        await shop.contact(SECOND)
        draft = await shop.campaign(audience=Audience(list_ids=[await listed(shop, SECOND)]))
        await shop.do("SendCampaign", draft.id)
        batch = await sending(shop, draft.id)
        assert [recipient.phone for recipient in batch.recipients] == [SECOND]
        await shop.do("CancelCampaign", draft.id)


@pytest.mark.parametrize(
    ("audience", "answer", "field"),
    [
        ({"rule": {"all_of": [MEN, {"field": {"name": "shoe"}}]}}, "RULE_INVALID", "rule.all_of[1].field.name"),
        ({"list_ids": ["nobody's"]}, "LIST_NOT_FOUND", "list_ids[0]"),
        ({"all": True, "list_ids": ["x"]}, "AUDIENCE_INVALID", ""),
        ({"exclude_list_ids": ["x"]}, "AUDIENCE_INVALID", ""),
    ],
)
async def test_a_draft_with_a_wrong_audience_is_refused_in_contacts_own_words(
    shop: Shop, audience: dict[str, Any], answer: str, field: str
):
    name, metadata = await refusal(shop.campaign(audience=Audience(**audience)))
    assert (name, metadata["field"]) == (answer, ".".join(filter(None, ["audience", field])))
    draft = await shop.campaign()
    changed = pb.UpdateCampaignRequest(campaign={"id": draft.id, "audience": audience})
    changed.update_mask.paths.append("audience")
    assert (await refusal(shop.call(CampaignsServiceStub, "UpdateCampaign", changed)))[0] == answer
    assert (await shop.do("GetCampaign", draft.id)).audience == Audience(all=True)


async def test_a_list_that_is_gone_stops_the_campaign_rather_than_texting_others(shop: Shop):
    one = await listed(shop, FIRST)
    draft = await shop.campaign(audience=Audience(all=True, exclude_list_ids=[one]))
    await shop.call(ListsServiceStub, "DeleteList", DeleteListRequest(id=one), "contacts")
    assert (await refusal(shop.do("SendCampaign", draft.id)))[0] == "LIST_NOT_FOUND"
    assert (await refusal(shop.do("QuoteCampaign", draft.id)))[0] == "LIST_NOT_FOUND"
