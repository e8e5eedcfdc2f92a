"""Templates: the merchant's own with their earlier versions, and ours, which nobody changes."""

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from astronote.accounts.v1 import accounts_pb2 as accounts
from astronote.accounts.v1.accounts_pb2_grpc import MerchantsServiceStub
from astronote.campaigns.v1 import campaigns_pb2 as pb
from astronote.campaigns.v1.campaigns_pb2_grpc import TemplatesServiceStub
from kit import gsm
from services.campaigns import system_templates
from services.campaigns.rendering import preview
from tests.campaigns.shop import Shop, refusal, registered
from tests.conftest import TestMesh

OURS = list(system_templates.BY_ID.values())


async def get(shop: Shop, id: str, version: int = 0) -> pb.Template:
    return await shop.call(TemplatesServiceStub, "GetTemplate", pb.GetTemplateRequest(id=id, version=version))


async def listed(shop: Shop, **chosen: str) -> list[pb.Template]:
    """All of them, by small pages."""
    found: list[pb.Template] = []
    token = ""
    while True:
        request = pb.ListTemplatesRequest(page_size=7, page_token=token, **chosen)
        page = await shop.call(TemplatesServiceStub, "ListTemplates", request)
        found += page.templates
        if not (token := page.next_page_token):
            return found


async def update(shop: Shop, id: str, **fields: str) -> pb.Template:
    request = pb.UpdateTemplateRequest(template=pb.Template(id=id, **fields), update_mask=FieldMask(paths=list(fields)))
    return await shop.call(TemplatesServiceStub, "UpdateTemplate", request)


async def test_an_earlier_version_can_be_read(shop: Shop, mesh: TestMesh) -> None:
    made = await shop.template(text="One")
    for text in ("Two", "Two", "Three"):
        await update(shop, made.id, text=text)
    now = await update(shop, made.id, name="Renamed")
    assert (now.version, now.text) == (3, "Three")
    assert [(await get(shop, made.id, version)).text for version in (1, 2, 3, 0)] == ["One", "Two", "Three", "Three"]
    first = await get(shop, made.id, 1)
    assert (first.version, first.name, first.update_time) == (1, "Renamed", made.update_time)
    for version in (4, -1):
        assert (await refusal(get(shop, made.id, version)))[0] == "TEMPLATE_NOT_FOUND"
    stranger = await registered(mesh)
    assert (await refusal(get(stranger, made.id, 1)))[0] == "TEMPLATE_NOT_FOUND"
    campaign = await shop.campaign(text="", template_id=made.id)
    assert (campaign.text, campaign.template_version) == ("Three", 3)
    await shop.call(TemplatesServiceStub, "DeleteTemplate", pb.DeleteTemplateRequest(id=made.id))
    assert (await refusal(get(shop, made.id, 1)))[0] == "TEMPLATE_NOT_FOUND"


async def test_ours_are_listed_among_the_merchants_own(shop: Shop, mesh: TestMesh) -> None:
    own = [await shop.template(category="cafe", language="el") for _ in range(10)]
    found = await listed(shop)
    assert found == sorted([*own, *OURS], key=lambda template: template.id)
    cafe = await listed(shop, category="cafe", language="el")
    assert [each.id for each in cafe if not each.system] == sorted(each.id for each in own)
    assert {each.name for each in cafe if each.system} == set(system_templates.NAMES["el"])
    assert {each.id for each in await listed(await registered(mesh))} == set(system_templates.BY_ID)


async def test_ours_are_used_and_never_changed(shop: Shop) -> None:
    ours = OURS[0]
    assert await get(shop, ours.id) == await get(shop, ours.id, 1) == ours
    assert (await refusal(get(shop, ours.id, 2)))[0] == "TEMPLATE_NOT_FOUND"
    assert (await refusal(update(shop, ours.id, text="Mine")))[0] == "TEMPLATE_READ_ONLY"
    delete = pb.DeleteTemplateRequest(id=ours.id)
    assert (await refusal(shop.call(TemplatesServiceStub, "DeleteTemplate", delete)))[0] == "TEMPLATE_READ_ONLY"
    campaign = await shop.campaign(text="", template_id=ours.id)
    assert (campaign.text, campaign.template_version) == (ours.text, 1)
    assert await get(shop, ours.id) == ours


def test_ours_are_there_in_english_and_greek_for_every_category() -> None:
    categories = {"cafe", "restaurant", "gym", "sports_club", "generic", "hotels"}
    assert {(each.category, each.language) for each in OURS} == {
        (one, two) for one in categories for two in ("en", "el")
    }


@pytest.mark.parametrize("template", OURS, ids=lambda template: f"{template.category} {template.language}")
def test_ours_are_cheap(template: pb.Template) -> None:
    text = preview(template.text, {"first_name": "Παναγιώτης"}, "https://astronote.gr")
    nameless = preview(template.text, {}, "https://astronote.gr")
    assert gsm.count(gsm.to_gsm(text)) == (gsm.Encoding.GSM_7, 1), text
    assert gsm.count(nameless)[1] == (1 if template.language == "en" else 2), nameless


async def test_a_preview_is_as_long_as_the_merchants_own_links(shop: Shop) -> None:
    made = await shop.template(text="α" * 30)

    async def segments() -> list[tuple[int, int]]:
        request = pb.PreviewTemplateRequest(id=made.id)
        shown = await shop.call(TemplatesServiceStub, "PreviewTemplate", request)
        return [(each.segments, each.credits) for each in (shown.rendering, shown.gsm_rendering)]

    assert await segments() == [(1, 1), (1, 1)]
    changed = accounts.UpdateMerchantRequest(merchant=accounts.Merchant(public_base_url=f"https://{'a' * 40}.gr"))
    changed.update_mask.paths.append("public_base_url")
    await shop.call(MerchantsServiceStub, "UpdateMerchant", changed, "accounts")
    assert await segments() == [(2, 2), (1, 1)]
