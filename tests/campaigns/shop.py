"""A registered merchant who speaks to campaigns and contacts over gRPC. Senders are away: what is sent stays queued."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from sqlalchemy import text

from astronote.accounts.v1 import accounts_pb2 as accounts
from astronote.accounts.v1.accounts_pb2_grpc import AuthServiceStub
from astronote.campaigns.v1 import campaigns_pb2 as pb
from astronote.campaigns.v1.campaigns_pb2_grpc import CampaignsServiceStub, TemplatesServiceStub
from astronote.contacts.v1 import contacts_pb2 as contacts
from astronote.contacts.v1.contacts_pb2_grpc import ContactsServiceStub
from astronote.sender.v1.batches_pb2 import SendBatch
from kit.channel import CLIENT_AGENT_HEADER, CLIENT_PURPOSE_HEADER
from services.campaigns.store import CampaignStore
from tests.conftest import TestMesh

GREEK = "Γεια σου {{first_name|φίλε}}"


class Shop:
    """A registered merchant, speaking to campaigns and contacts."""

    def __init__(self, mesh: TestMesh, merchant_id: str) -> None:
        self.mesh, self.merchant_id = mesh, merchant_id

    async def call(self, stub: Any, method: str, request: Any, service: str = "campaigns") -> Any:
        peer = await self.mesh.service(service)
        metadata = peer.metadata(self.merchant_id, "merchant")
        return await getattr(stub(peer.channel), method)(request, metadata=metadata, timeout=20)

    async def contact(self, phone: str, **fields: Any) -> None:
        request = contacts.CreateContactRequest(contact=contacts.Contact(phone=phone, **fields))
        await self.call(ContactsServiceStub, "CreateContact", request, "contacts")

    async def template(self, **fields: Any) -> pb.Template:
        template = pb.Template(**{"name": "Welcome", "text": GREEK, **fields})
        return await self.call(TemplatesServiceStub, "CreateTemplate", pb.CreateTemplateRequest(template=template))

    async def campaign(self, request_id: str = "", **fields: Any) -> pb.Campaign:
        campaign = pb.Campaign(**{"name": "Offer", "text": GREEK, **fields})
        if not campaign.HasField("audience"):
            campaign.audience.all = True
        request = pb.CreateCampaignRequest(campaign=campaign, request_id=request_id)
        return await self.call(CampaignsServiceStub, "CreateCampaign", request)

    async def do(self, verb: str, id: str, **fields: Any) -> Any:
        request = getattr(pb, f"{verb}Request")(id=id, **fields)
        return await self.call(CampaignsServiceStub, verb, request)

    async def ended(self, id: str) -> pb.Report:
        async with asyncio.timeout(20):
            while True:
                report = await self.do("GetReport", id)
                if report.final:
                    return report
                await asyncio.sleep(0.05)


PERSON = "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 Chrome/130.0 Mobile Safari/537.36"


async def opened(shop: Shop, stub: Any, method: str, request: Any, agent: str = PERSON, purpose: str = "") -> Any:
    """What a link leads to, as the gateway asks for a browser."""
    peer = await shop.mesh.service("campaigns")
    client = ((CLIENT_AGENT_HEADER, agent), (CLIENT_PURPOSE_HEADER, purpose))
    return await getattr(stub(peer.channel), method)(
        request, metadata=(*peer.metadata(role="public"), *client), timeout=20
    )


@asynccontextmanager
async def undone(mesh: TestMesh) -> AsyncIterator[CampaignStore]:
    """A transaction that ends as if it had never been: the mesh's own dispatcher would send what it adds."""
    await mesh.service("campaigns")
    async with CampaignStore.open_pipeline(mesh.app("campaigns").database) as store:
        yield store
        await store.driver.rollback()


async def age(shop: Shop, campaign_id: str, seconds: int = 3600) -> None:
    """As if the campaign's texts had been handed to the senders so long ago."""
    statement = """
        UPDATE batches SET generation = 1, publish_time = now() - make_interval(secs => :seconds)
        WHERE campaign_id = :id
    """
    async with shop.mesh.app("campaigns").database.pipeline.begin() as connection:
        await connection.execute(text(statement), {"seconds": seconds, "id": campaign_id})


async def registered(mesh: TestMesh, **fields: str) -> Shop:
    # Those that campaigns asks have to be there.
    for name in ("contacts", "wallet"):
        await mesh.service(name)
    peer = await mesh.service("accounts")
    request = accounts.RegisterRequest(email=f"{uuid.uuid4()}@example.com", password="correct horse", company="Cafe")
    request.MergeFrom(accounts.RegisterRequest(**fields))
    session = await AuthServiceStub(peer.channel).Register(request, metadata=peer.metadata(role="public"), timeout=20)
    return Shop(mesh, session.merchant.id)


async def refusal(call: Any) -> tuple[str, dict[str, str]]:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    trailer = dict(raised.value.trailing_metadata() or ())["grpc-status-details-bin"]
    info = ErrorInfo()
    assert Status.FromString(trailer).details[0].Unpack(info)
    return info.reason, dict(info.metadata)


async def paid(shop: Shop, id: str) -> None:
    """Waits until the campaign is `SENDING`."""
    async with asyncio.timeout(20):
        while (await shop.do("GetCampaign", id)).state != pb.Campaign.SENDING:
            await asyncio.sleep(0.05)


async def sending(shop: Shop, id: str) -> SendBatch:
    """Waits until the campaign is with the senders; its one batch."""
    await paid(shop, id)
    store, database = shop.mesh.app("campaigns").store, shop.mesh.app("campaigns").database
    async with store.open_pipeline(database) as opened:
        batches = opened.metadata.tables["batches"]
        found = await opened.connection.execute(batches.select().where(batches.c.campaign_id == id))
        return SendBatch.FromString(found.one().payload)
