"""Automations: what happens is answered with a text, once for each person and occasion, paid for like every other."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from google.api.httpbody_pb2 import HttpBody
from google.protobuf.field_mask_pb2 import FieldMask
from sqlalchemy import text

from astronote.campaigns.v1 import automations_pb2 as pb
from astronote.campaigns.v1.automations_pb2 import Automation, Trigger
from astronote.campaigns.v1.automations_pb2_grpc import AutomationsServiceStub
from astronote.campaigns.v1.campaigns_pb2 import Campaign, ListCampaignsRequest
from astronote.campaigns.v1.campaigns_pb2_grpc import CampaignsServiceStub
from astronote.contacts.v1 import contacts_pb2 as contacts
from astronote.contacts.v1 import lists_pb2 as lists
from astronote.contacts.v1.audience_pb2 import ActivityCondition, Rule
from astronote.contacts.v1.contacts_pb2_grpc import ContactsServiceStub, ImportsServiceStub
from astronote.contacts.v1.lists_pb2_grpc import ListsServiceStub
from services.campaigns.store import CampaignStore
from services.campaigns.store.audiences import LeaseLostError
from services.campaigns.store.enrolments import Happening
from tests.campaigns.shop import Shop, refusal, sending, undone

FIRST, SECOND = "+306911111111", "+306922222222"


async def call(shop: Shop, method: str, **fields: Any) -> Any:
    return await shop.call(AutomationsServiceStub, method, getattr(pb, f"{method}Request")(**fields))


async def change(shop: Shop, id: str, **fields: Any) -> Automation:
    mask = FieldMask(paths=list(fields))
    return await call(shop, "UpdateAutomation", automation=Automation(id=id, **fields), update_mask=mask)


async def own(shop: Shop, event: Trigger.Event.ValueType, subject: dict[str, str], **fields: Any) -> Automation:
    values = {"name": "Own", "text": "Hi {{first_name}}", "enabled": True, **fields}
    automation = Automation(trigger=Trigger(event=event, **subject), **values)
    return await call(shop, "CreateAutomation", automation=automation)


async def person(shop: Shop, phone: str, **fields: Any) -> str:
    request = contacts.CreateContactRequest(contact=contacts.Contact(phone=phone, **fields))
    return (await shop.call(ContactsServiceStub, "CreateContact", request, "contacts")).id


async def imported(shop: Shop, phone: str) -> None:
    async def file() -> AsyncIterator[contacts.ImportContactsRequest]:
        for piece in (f"phone\n{phone}\n".encode(), b""):
            yield contacts.ImportContactsRequest(body=HttpBody(data=piece))

    done = await shop.call(ImportsServiceStub, "ImportContacts", file(), "contacts")
    assert done.created == 1


async def until(look: Callable[[], Awaitable[Any]]) -> Any:
    async with asyncio.timeout(20):
        while not (found := await look()):
            await asyncio.sleep(0.05)
    return found


async def stats(shop: Shop, id: str) -> pb.AutomationStats:
    return await call(shop, "GetAutomationStats", id=id)


async def sent(shop: Shop, id: str) -> list[Campaign]:
    request = ListCampaignsRequest(kind=Campaign.AUTOMATION, parent_id=id)
    return list((await shop.call(CampaignsServiceStub, "ListCampaigns", request)).campaigns)


async def database(shop: Shop, statement: str, **values: Any) -> None:
    async with CampaignStore.open_pipeline(shop.mesh.app("campaigns").database) as store:
        await store.connection.execute(text(statement), values | {"merchant_id": shop.merchant_id})


async def test_without_a_plan_nobody_is_texted(shop: Shop) -> None:
    await change(shop, "welcome", enabled=True)
    await person(shop, FIRST)
    seen = await until(lambda: settled(shop, "welcome"))
    assert (seen.triggered, dict(seen.skipped)) == (1, {"subscription_required": 1})
    assert await sent(shop, "welcome") == []


async def settled(shop: Shop, id: str, triggered: int = 1) -> pb.AutomationStats | None:
    seen = await stats(shop, id)
    return seen if seen.triggered == triggered and not seen.waiting else None


async def test_everybody_has_two_that_are_off(shop: Shop) -> None:
    found = (await call(shop, "ListAutomations")).automations
    assert [(each.id, each.enabled) for each in found] == [("welcome", False), ("birthday", False)]
    assert await call(shop, "GetAutomation", id="birthday") == found[1]
    assert (await change(shop, "birthday", daily_time="09:30", text="Να ζήσεις!")).daily_time == "09:30"
    assert (await refusal(change(shop, "welcome", trigger=Trigger(event=Trigger.OFFER_REDEEMED))))[
        0
    ] == "AUTOMATION_INVALID"
    assert (await refusal(call(shop, "DeleteAutomation", id="welcome")))[0] == "AUTOMATION_NOT_FOUND"
    assert (await refusal(call(shop, "GetAutomation", id="anniversary")))[0] == "AUTOMATION_NOT_FOUND"
    assert not (await stats(shop, "welcome")).triggered


async def test_who_is_new_is_welcomed_once_and_who_is_imported_is_not(rich_shop: Shop) -> None:
    await change(rich_shop, "welcome", enabled=True, text="Welcome {{first_name|friend}}")
    await imported(rich_shop, SECOND)
    await person(rich_shop, FIRST, first_name="Μαρία")
    (campaign,) = await until(lambda: sent(rich_shop, "welcome"))
    batch = await sending(rich_shop, campaign.id)
    assert [each.text.split("\n")[0] for each in batch.recipients] == ["Welcome Μαρία"]
    assert (batch.expedited, batch.allow_strangers, campaign.kind) == (True, False, Campaign.AUTOMATION)
    # What is heard twice, under another key say, happened once.
    async with CampaignStore.open_pipeline(rich_shop.mesh.app("campaigns").database) as store:
        contact_id = str(uuid.UUID(bytes=batch.recipients[0].contact_id))
        await store.enrol(Trigger.CONTACT_CREATED, [Happening(rich_shop.merchant_id, "", [contact_id], "other")])
    seen = await stats(rich_shop, "welcome")
    assert (seen.triggered, seen.waiting, seen.counts.targeted, seen.counts.queued) == (1, 0, 1, 1)
    assert (await rich_shop.call(CampaignsServiceStub, "ListCampaigns", ListCampaignsRequest())).campaigns == []
    await rich_shop.do("CancelCampaign", campaign.id)
    await rich_shop.ended(campaign.id)
    assert dict((await stats(rich_shop, "welcome")).counts.skipped) == {"cancelled": 1}


async def test_a_birthday_is_greeted_once_a_year(rich_shop: Shop) -> None:
    await change(rich_shop, "birthday", enabled=True)
    today = datetime.now(ZoneInfo("Europe/Athens")).date()
    await person(rich_shop, FIRST, birthday=f"1992-{today:%m-%d}")
    await person(rich_shop, SECOND, birthday=f"1992-{today.month % 12 + 1:02}-01")
    for _ in range(2):
        await database(rich_shop, "UPDATE automations SET run_time = now() WHERE merchant_id = :merchant_id")
        await until(lambda: settled(rich_shop, "birthday"))
        await until(lambda: is_asked(rich_shop, "birthday"))
    (campaign,) = await sent(rich_shop, "birthday")
    assert [each.phone for each in (await sending(rich_shop, campaign.id)).recipients] == [FIRST]


async def test_whoever_was_silent_is_texted(rich_shop: Shop) -> None:
    month = ActivityCondition(kind=ActivityCondition.SILENT, within_days=30)
    missed = await own(rich_shop, Trigger.DAILY, {}, conditions=Rule(activity=month))
    id = await person(rich_shop, FIRST)
    await person(rich_shop, SECOND)
    long_ago = text("UPDATE contacts SET create_time = now() - interval '31 days' WHERE id = :id")
    async with rich_shop.mesh.app("contacts").database.pipeline.begin() as connection:
        await connection.execute(long_ago, {"id": id})
    for _ in range(2):
        await database(rich_shop, "UPDATE automations SET run_time = now() WHERE merchant_id = :merchant_id")
        await until(lambda: settled(rich_shop, missed.id))
        await until(lambda: is_asked(rich_shop, missed.id))
    (campaign,) = await sent(rich_shop, missed.id)
    assert [each.phone for each in (await sending(rich_shop, campaign.id)).recipients] == [FIRST]


async def is_asked(shop: Shop, id: str) -> bool:
    """Whether the day is over."""
    async with CampaignStore.open_pipeline(shop.mesh.app("campaigns").database) as store:
        query = "SELECT run_time > now() FROM automations WHERE merchant_id = :merchant_id AND id = :id"
        return bool(await store.connection.scalar(text(query), {"merchant_id": shop.merchant_id, "id": id}))


async def test_a_list_with_conditions_and_a_tag_with_a_delay_are_data(rich_shop: Shop) -> None:
    kept = await rich_shop.call(
        ListsServiceStub, "CreateList", lists.CreateListRequest(list=lists.List(name="Members")), "contacts"
    )
    joined = await own(rich_shop, Trigger.LIST_JOINED, {"list_id": kept.id}, conditions=Rule(has_tag="vip"))
    tagged = await own(rich_shop, Trigger.TAG_ADDED, {"tag": "vip"}, delay_minutes=60)
    ids = [await person(rich_shop, FIRST, tags=["vip"]), await person(rich_shop, SECOND)]
    request = lists.AddListContactsRequest(id=kept.id, contact_ids=ids)
    await rich_shop.call(ListsServiceStub, "AddListContacts", request, "contacts")
    seen = await until(lambda: settled(rich_shop, joined.id, 2))
    assert (dict(seen.skipped), seen.counts.targeted) == ({"conditions": 1}, 1)
    waiting = await until(lambda: triggered(rich_shop, tagged.id))
    assert (waiting.triggered, waiting.waiting, waiting.counts.targeted) == (1, 1, 0)
    # Switched off, who waited is not texted.
    await change(rich_shop, tagged.id, enabled=False)
    await database(rich_shop, "UPDATE enrolments SET due_time = now() WHERE merchant_id = :merchant_id")
    assert dict((await until(lambda: settled(rich_shop, tagged.id))).skipped) == {"disabled": 1}
    await call(rich_shop, "DeleteAutomation", id=tagged.id)
    assert (await refusal(stats(rich_shop, tagged.id)))[0] == "AUTOMATION_NOT_FOUND"


async def triggered(shop: Shop, id: str) -> pb.AutomationStats | None:
    seen = await stats(shop, id)
    return seen if seen.triggered else None


async def test_whoever_lost_the_lease_makes_no_campaign(shop: Shop) -> None:
    """As after a freeze in the middle: the one who comes later texts, and the first leaves nothing behind."""
    always = await own(shop, Trigger.OFFER_REDEEMED, {}, repeat=Automation.ALWAYS, delay_minutes=1)
    contact_id, app = await person(shop, FIRST), shop.mesh.app("campaigns")
    async with CampaignStore.open_pipeline(app.database) as store:
        happened = [Happening(shop.merchant_id, "", [contact_id], key) for key in ("one", "one", "two")]
        assert await store.enrol(Trigger.OFFER_REDEEMED, happened) == 2
    assert (await stats(shop, always.id)).triggered == 2
    async with undone(shop.mesh) as store:
        mine = {"merchant_id": shop.merchant_id}
        due = text(
            "UPDATE enrolments SET due_time = 'epoch', lease_expire_time = 'epoch' WHERE merchant_id = :merchant_id"
        )
        await store.connection.execute(due, mine)
        taken = await store.take_enrolments(10, "first", 60)
        assert [row.contact_id for row in taken] == [contact_id] * 2
        assert not [row for row in await store.take_enrolments(10, "second", 60) if row.merchant_id == shop.merchant_id]
        await store.connection.execute(due, mine)
        again = await store.take_enrolments(10, "second", 60)
        with pytest.raises(LeaseLostError):
            await store.settle_enrolments(taken, "first", "conditions", [contact_id], str(uuid.uuid4()))
        await store.settle_enrolments(again, "second", "conditions", [contact_id], str(uuid.uuid4()))


async def test_a_list_that_is_not_there_is_refused(shop: Shop) -> None:
    unknown = str(uuid.uuid4())
    assert (await refusal(own(shop, Trigger.LIST_JOINED, {"list_id": unknown})))[0] == "LIST_NOT_FOUND"
    assert (await refusal(own(shop, Trigger.DAILY, {}, conditions=Rule(in_list=unknown))))[0] == "LIST_NOT_FOUND"
