"""Customers who answer, and shops that have texted them."""

import asyncio
import secrets
import uuid
from typing import Any

import orjson
from sqlalchemy import text

from astronote.contacts.v1 import contacts_pb2 as contacts
from astronote.contacts.v1.contacts_pb2_grpc import AudiencesServiceStub, ContactsServiceStub
from astronote.sender.v1 import inbound_pb2 as pb
from astronote.sender.v1.batches_pb2 import BatchRecipient, SendBatch
from astronote.sender.v1.inbound_pb2 import InboundText
from astronote.sender.v1.inbound_pb2_grpc import InboundServiceStub
from services.sender import outcomes
from services.sender.store import SenderStore
from services.sender.store.attempts import Lease
from tests.conftest import SETTINGS, TestMesh
from tests.sender.books import LEASE_SECONDS
from tests.sender.road import Shop

WAIT_SECONDS = 20
# A number that no shop of the tests texts from.
SHARED = "+306999999999"
SECRET = SETTINGS["sender"]["webhook_secret"]


def phone() -> str:
    return f"+3069{secrets.randbelow(10**8):08d}"


async def answers(mesh: TestMesh, *items: Any, secret: str = SECRET) -> int:
    """What the provider posts, as the gateway hands it on."""
    peer = await mesh.service("sender")
    request = pb.ReceiveInboundRequest()
    request.body.data = orjson.dumps(items[0] if len(items) == 1 else list(items))
    metadata = (*peer.metadata(role="webhook"), ("http-x-webhook-secret", secret))
    stub = InboundServiceStub(peer.channel)
    return int((await stub.ReceiveInbound(request, metadata=metadata, timeout=20)).received)


async def listed(shop: Shop, **filters: Any) -> list[InboundText]:
    page = await shop.call("sender", InboundServiceStub, "ListInbound", pb.ListInboundRequest(**filters))
    return list(page.inbound)


async def heard(shop: Shop, count: int = 1, **filters: Any) -> list[InboundText]:
    """As soon as there are so many and nothing waits to be done."""
    found: list[InboundText] = []
    async with asyncio.timeout(WAIT_SECONDS):
        while len(found) < count or any(each.state == InboundText.PENDING for each in found):
            await asyncio.sleep(0.02)
            found = await listed(shop, **filters)
    return found


async def resolve(shop: Shop, id: int, *, opt_out: bool) -> InboundText:
    request = pb.ResolveInboundRequest(id=id, opt_out=opt_out)
    return await shop.call("sender", InboundServiceStub, "ResolveInbound", request)


async def subscribed(shop: Shop, phone: str) -> bool:
    request = contacts.ListContactsRequest(q=phone)
    (person,) = (await shop.call("contacts", ContactsServiceStub, "ListContacts", request)).contacts
    return bool(person.subscription == contacts.Contact.SUBSCRIBED)


async def may_be_texted(mesh: TestMesh, shop: Shop, phone: str) -> bool:
    peer = await mesh.service("contacts", caller="sender")
    request = contacts.FilterTextableRequest(phones=[phone], allow_strangers=True)
    stub = AudiencesServiceStub(peer.channel)
    answer = await stub.FilterTextable(request, metadata=peer.metadata(shop.merchant_id), timeout=20)
    return not answer.refused_phones


async def texted(mesh: TestMesh, phone: str, **names: str) -> dict[str, Shop]:
    """Shops by name that have texted a phone, each from what the names say; `""` has not."""
    shops = {}
    for name, sender_name in names.items():
        shops[name] = await Shop.opened(mesh, 0)
        if sender_name:
            await sent(mesh, shops[name], phone, sender_name)
    return shops


async def sent(mesh: TestMesh, shop: Shop, phone: str, sender_name: str, days_ago: int = 0) -> None:
    """As a batch leaves it behind."""
    batch = SendBatch(merchant_id=shop.merchant_id, campaign_id=str(uuid.uuid4()), hold_id=str(uuid.uuid4()))
    batch.batch_id, batch.sender_name = uuid.uuid4().int >> 83, sender_name
    batch.first_message_id = batch.batch_id << 17
    batch.recipients.append(BatchRecipient(phone=phone, text="Hi", segments=1, credits=1))
    lease, id = Lease(batch.batch_id, str(uuid.uuid4()), LEASE_SECONDS), str(uuid.uuid4())
    async with SenderStore.open_pipeline(mesh.app("sender").database) as store:
        await store.take(batch, lease)
        await store.begin_attempt(id, batch, lease, 1)
    async with SenderStore.open_pipeline(mesh.app("sender").database) as store:
        attempt = await store.lock_attempt(id)
        results = outcomes.results(outcomes.Accepted([uuid.uuid4().hex]), [(0, batch.recipients[0])])
        await store.record(attempt, "ACCEPTED", "", batch, results)
        await store.connection.execute(text("DELETE FROM settlements WHERE hold_id = :id"), {"id": batch.hold_id})
        ago = text("UPDATE messages SET submit_time = submit_time - make_interval(days => :days) WHERE id = :id")
        await store.connection.execute(ago, {"days": days_ago, "id": batch.first_message_id})
