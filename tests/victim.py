"""Merchant A of the isolation tests: one of everything that a merchant can have, and the ids of all of it."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import orjson

from astronote.accounts.v1 import accounts_pb2 as accounts
from astronote.accounts.v1.accounts_pb2_grpc import AuthServiceStub
from astronote.campaigns.v1 import campaigns_pb2 as campaigns
from astronote.campaigns.v1 import offers_pb2 as offers
from astronote.campaigns.v1.campaigns_pb2_grpc import CampaignsServiceStub, TemplatesServiceStub
from astronote.campaigns.v1.offers_pb2_grpc import OffersServiceStub
from astronote.contacts.v1 import contacts_pb2 as contacts
from astronote.contacts.v1 import forms_pb2 as forms
from astronote.contacts.v1 import lists_pb2 as lists
from astronote.contacts.v1 import segments_pb2 as segments
from astronote.contacts.v1.audience_pb2 import ActivityCondition
from astronote.contacts.v1.contacts_pb2_grpc import AudiencesServiceStub, ContactsServiceStub, ImportsServiceStub
from astronote.contacts.v1.forms_pb2_grpc import FormsServiceStub
from astronote.contacts.v1.lists_pb2_grpc import ListsServiceStub
from astronote.contacts.v1.segments_pb2_grpc import SegmentsServiceStub
from astronote.sender.v1 import inbound_pb2 as inbound
from astronote.sender.v1 import sender_pb2 as sender
from astronote.sender.v1.inbound_pb2 import InboundText
from astronote.sender.v1.inbound_pb2_grpc import InboundServiceStub
from astronote.sender.v1.sender_pb2_grpc import MessagesServiceStub
from astronote.wallet.v1 import billing_pb2 as billing
from astronote.wallet.v1.billing_pb2_grpc import BillingServiceStub
from kit.channel import Peer
from tests.conftest import SETTINGS, TestMesh

CANARY = "Kanarina"
PHONE = "+306944444444"


@dataclass
class Victim:
    """`numbers` are the ids that are no UUIDs, `codes` what stands in addresses or on a screen."""

    merchant_id: str
    ids: list[str]
    numbers: list[int]
    codes: list[str]


async def populate(mesh: TestMesh) -> Victim:
    merchant_id = await registered(mesh)
    ids = [*await book(mesh, merchant_id), *await sent(mesh, merchant_id), await begun(mesh, merchant_id), merchant_id]
    message = await sent_message(mesh, merchant_id)
    code = message.text.split("/o/")[1].split()[0]
    shop = await mesh.service("campaigns")
    offer = await OffersServiceStub(shop.channel).GetOffer(
        offers.GetOfferRequest(code=code), **as_merchant(shop, merchant_id)
    )
    answer = await answered_text(mesh, merchant_id)
    return Victim(merchant_id, ids, [message.id, message.id >> 17, answer.id], [code, offer.till_code])


async def begun(mesh: TestMesh, merchant_id: str) -> str:
    """A purchase."""
    peer = await mesh.service("wallet")
    request = billing.CheckoutRequest(credits=1000, currency="EUR")
    request.success_url = request.cancel_url = f"https://shop.test/{CANARY}"
    page = await BillingServiceStub(peer.channel).Checkout(request, **as_merchant(peer, merchant_id))
    return str(page.purchase_id)


def as_merchant(peer: Peer, merchant_id: str) -> dict[str, Any]:
    return {"metadata": peer.metadata(merchant_id, "merchant"), "timeout": 20}


async def registered(mesh: TestMesh) -> str:
    peer = await mesh.service("accounts")
    request = accounts.RegisterRequest(email=f"{uuid.uuid4()}@example.com", password="correct horse")
    request.company, request.sender_name = f"{CANARY} Company", CANARY
    session = await AuthServiceStub(peer.channel).Register(request, metadata=peer.metadata(role="public"), timeout=20)
    return session.merchant.id


async def book(mesh: TestMesh, merchant_id: str) -> list[str]:
    peer = await mesh.service("contacts")
    as_victim = as_merchant(peer, merchant_id)
    person = contacts.Contact(phone=PHONE, first_name=CANARY)
    contact = await ContactsServiceStub(peer.channel).CreateContact(
        contacts.CreateContactRequest(contact=person), **as_victim
    )
    kept = await ListsServiceStub(peer.channel).CreateList(
        lists.CreateListRequest(list=lists.List(name=CANARY)), **as_victim
    )
    joined = lists.AddListContactsRequest(id=kept.id, contact_ids=[contact.id])
    await ListsServiceStub(peer.channel).AddListContacts(joined, **as_victim)
    segment = segments.Segment(name=CANARY)
    segment.rule.in_list = kept.id
    chosen = await SegmentsServiceStub(peer.channel).CreateSegment(
        segments.CreateSegmentRequest(segment=segment), **as_victim
    )
    form = forms.Form(title=CANARY, wording=CANARY, list_id=kept.id)
    signs = await FormsServiceStub(peer.channel).CreateForm(forms.CreateFormRequest(form=form), **as_victim)
    done = await ImportsServiceStub(peer.channel).ImportContacts(upload(), **as_victim)
    return [contact.id, signs.id, kept.id, chosen.id, done.id]


async def upload() -> AsyncIterator[contacts.ImportContactsRequest]:
    for piece in (f"phone,first_name\n+306944444445,{CANARY}\n1,{CANARY}\n".encode(), b""):
        request = contacts.ImportContactsRequest()
        request.body.data = piece
        yield request


async def sent(mesh: TestMesh, merchant_id: str) -> list[str]:
    """A campaign that has gone out, of which contacts has heard, so that nothing moves by itself from here on (no
    report will come); and a draft.
    """
    shop = await mesh.service("campaigns")
    as_victim = as_merchant(shop, merchant_id)
    templates = TemplatesServiceStub(shop.channel)
    template = await templates.CreateTemplate(
        campaigns.CreateTemplateRequest(template=campaigns.Template(name=CANARY, text=CANARY)), **as_victim
    )
    # With an earlier version.
    changed = campaigns.Template(id=template.id, text=f"{CANARY}!")
    await templates.UpdateTemplate(campaigns.UpdateTemplateRequest(template=changed), **as_victim)
    stub = CampaignsServiceStub(shop.channel)
    draft = campaigns.Campaign(name=CANARY, text=f"{CANARY} {{{{first_name}}}}")
    draft.audience.all, draft.offer_link, draft.offer.title = True, True, CANARY
    made = [await stub.CreateCampaign(campaigns.CreateCampaignRequest(campaign=draft), **as_victim) for _ in range(2)]
    await stub.SendCampaign(campaigns.SendCampaignRequest(id=made[0].id), **as_victim)
    async with asyncio.timeout(20):
        while True:
            report = await stub.GetReport(campaigns.GetReportRequest(id=made[0].id), **as_victim)
            if report.state == campaigns.Campaign.COMPLETED and report.counts.accepted == 2:
                break
            await asyncio.sleep(0.05)
    heard = contacts.CountAudienceRequest()
    heard.audience.rule.activity.kind = ActivityCondition.TEXTED
    peer = await mesh.service("contacts")
    audiences, of_victim = AudiencesServiceStub(peer.channel), as_merchant(peer, merchant_id)
    async with asyncio.timeout(20):
        while (await audiences.CountAudience(heard, **of_victim)).count != 2:
            await asyncio.sleep(0.05)
    return [template.id, *(each.id for each in made)]


async def sent_message(mesh: TestMesh, merchant_id: str) -> sender.Message:
    peer = await mesh.service("sender")
    stub, as_victim = MessagesServiceStub(peer.channel), as_merchant(peer, merchant_id)
    page = await stub.ListMessages(sender.ListMessagesRequest(), **as_victim)
    return await stub.GetMessage(sender.GetMessageRequest(id=page.messages[0].id), **as_victim)


async def answered_text(mesh: TestMesh, merchant_id: str) -> InboundText:
    """What the customer answered, which waits for a person's reading."""
    peer = await mesh.service("sender")
    stub, request = InboundServiceStub(peer.channel), inbound.ReceiveInboundRequest()
    request.body.data = orjson.dumps({"from": PHONE, "to": "+306999999999", "text": f"{CANARY}, no more!"})
    secret = ("http-x-webhook-secret", SETTINGS["sender"]["webhook_secret"])
    await stub.ReceiveInbound(request, metadata=(*peer.metadata(role="webhook"), secret), timeout=20)
    as_victim = as_merchant(peer, merchant_id)
    async with asyncio.timeout(20):
        while not (found := (await stub.ListInbound(inbound.ListInboundRequest(), **as_victim)).inbound):
            await asyncio.sleep(0.05)
    return found[0]
