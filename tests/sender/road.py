"""A shop in the running mesh of this process, and a provider that it submits to."""

import asyncio
import secrets
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson

from astronote.accounts.v1 import accounts_pb2 as accounts
from astronote.accounts.v1.accounts_pb2_grpc import AuthServiceStub
from astronote.campaigns.v1 import campaigns_pb2 as campaigns
from astronote.campaigns.v1.campaigns_pb2_grpc import CampaignsServiceStub
from astronote.contacts.v1 import contacts_pb2 as contacts
from astronote.contacts.v1.audience_pb2 import ActivityCondition, Audience, Rule
from astronote.contacts.v1.contacts_pb2_grpc import AudiencesServiceStub, ContactsServiceStub
from astronote.sender.v1 import sender_pb2 as sender
from astronote.sender.v1.sender_pb2_grpc import MessagesServiceStub, ReportsServiceStub
from astronote.wallet.v1 import wallet_pb2 as wallet
from astronote.wallet.v1.wallet_pb2_grpc import WalletServiceStub
from deploy.local.mitto import MittoStandIn
from tests.conftest import SETTINGS, TestMesh

WAIT_SECONDS = 30
FAST = {"retry_seconds": 0.1, "lookup_after_seconds": 0.3, "lookup_retry_seconds": 0.3}


@asynccontextmanager
async def provider(mesh: TestMesh, behaviour: dict[str, Any], **settings: Any) -> AsyncIterator[MittoStandIn]:
    """The stand-in, silent unless a test reports in its name, and a sender that submits to it, under a traffic account
    whose breaker no other test has shaken.
    """
    settings = FAST | {"mitto_traffic_account_id": str(uuid.uuid4())} | settings
    async with (
        MittoStandIn(api_key=SETTINGS["sender"]["mitto_api_key"], behaviour=behaviour) as mitto,
        mesh.with_settings("wallet", welcome_credits=1000, welcome_plan="starter"),
        mesh.with_settings("sender", mitto_api_base=mitto.url, **settings),
    ):
        yield mitto


class Shop:
    def __init__(self, mesh: TestMesh, merchant_id: str, phones: list[str]) -> None:
        self._mesh, self.merchant_id, self.phones = mesh, merchant_id, phones

    @classmethod
    async def opened(cls, mesh: TestMesh, count: int) -> "Shop":
        peer = await mesh.service("accounts")
        request = accounts.RegisterRequest(email=f"{uuid.uuid4()}@example.com", password="correct horse")
        request.company, request.sender_name = "Shop", "Shop"
        session = await AuthServiceStub(peer.channel).Register(
            request, metadata=peer.metadata(role="public"), timeout=20
        )
        first = secrets.randbelow(10**7)
        shop = cls(mesh, session.merchant.id, [f"+3069{first + number:08d}" for number in range(count)])
        for phone in shop.phones:
            person = contacts.Contact(phone=phone, first_name="Maria")
            await shop.call(
                "contacts", ContactsServiceStub, "CreateContact", contacts.CreateContactRequest(contact=person)
            )
        return shop

    async def call(self, service: str, stub: Callable[..., Any], method: str, request: Any) -> Any:
        peer = await self._mesh.service(service)
        metadata = peer.metadata(self.merchant_id, "merchant")
        return await getattr(stub(peer.channel), method)(request, metadata=metadata, timeout=20)

    async def send(self, text: str = "Hi {{first_name}}") -> str:
        draft = campaigns.Campaign(name="Offer", text=text)
        draft.audience.all = True
        made = await self.call(
            "campaigns", CampaignsServiceStub, "CreateCampaign", campaigns.CreateCampaignRequest(campaign=draft)
        )
        await self.call("campaigns", CampaignsServiceStub, "SendCampaign", campaigns.SendCampaignRequest(id=made.id))
        return str(made.id)

    async def report(self, campaign_id: str, until: Callable[[campaigns.Report], bool]) -> campaigns.Report:
        """The campaign's report, as soon as it is so."""
        async with asyncio.timeout(WAIT_SECONDS):
            while True:
                request = campaigns.GetReportRequest(id=campaign_id)
                report = await self.call("campaigns", CampaignsServiceStub, "GetReport", request)
                if until(report):
                    return report
                await asyncio.sleep(0.1)

    async def heard(self, kind: ActivityCondition.Kind.ValueType, count: int) -> None:
        """Until contacts knows of so many people to whom this became of a text."""
        audience = Audience(rule=Rule(activity=ActivityCondition(kind=kind, within_days=1)))
        request = contacts.CountAudienceRequest(audience=audience)
        async with asyncio.timeout(WAIT_SECONDS):
            while (await self.call("contacts", AudiencesServiceStub, "CountAudience", request)).count != count:
                await asyncio.sleep(0.1)

    async def messages(self) -> list[sender.Message]:
        page = await self.call("sender", MessagesServiceStub, "ListMessages", sender.ListMessagesRequest())
        return list(page.messages)

    async def wallet(self) -> wallet.Wallet:
        return await self.call("wallet", WalletServiceStub, "GetWallet", wallet.GetWalletRequest())


async def post(mesh: TestMesh, *reports: Any) -> None:
    """What the provider posts, as the gateway hands it on."""
    peer = await mesh.service("sender")
    request = sender.ReceiveDeliveryReportsRequest()
    request.body.data = orjson.dumps(list(reports))
    metadata = (*peer.metadata(role="webhook"), ("http-x-webhook-secret", SETTINGS["sender"]["webhook_secret"]))
    await ReportsServiceStub(peer.channel).ReceiveDeliveryReports(request, metadata=metadata, timeout=20)


async def replay(mesh: TestMesh, **fields: Any) -> sender.ReplayWebhooksResponse:
    peer = await mesh.service("sender")
    request = sender.ReplayWebhooksRequest(**fields)
    metadata = peer.metadata(role="operator")
    return await ReportsServiceStub(peer.channel).ReplayWebhooks(request, metadata=metadata, timeout=20)
