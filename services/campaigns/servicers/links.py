"""What the links in the texts lead to. The code is the proof: nobody is logged in here."""

from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

from google.api.httpbody_pb2 import HttpBody

from astronote.campaigns.v1 import campaigns_pb2 as pb
from astronote.campaigns.v1 import campaigns_pb2_grpc as rpc
from astronote.campaigns.v1.events_pb2 import LinkOpened
from astronote.contacts.v1 import contacts_pb2 as contacts
from astronote.contacts.v1.contacts_pb2_grpc import AudiencesServiceStub
from astronote.sender.v1.batches_pb2 import BatchRecipient, SendBatch
from kit.channel import Peer
from kit.interceptors import Context
from kit.store import Database
from services.campaigns import link_pages
from services.campaigns.codes import Codes, place
from services.campaigns.errors import LinkNotFound
from services.campaigns.store import CampaignStore

TIMEOUT_SECONDS = 5
# As many as there can be: what lies above has the origin's bit set, which none of ours has.
MESSAGE_IDS = 1 << 63


class Sent(NamedTuple):
    """The text that a code was made for."""

    merchant_id: str
    campaign_id: str
    message_id: int
    recipient: BatchRecipient


class Links(rpc.LinksServiceServicer):
    def __init__(self, database: Database, contacts: Peer, codes: Codes) -> None:
        self._database, self._contacts, self._codes = database, contacts, codes
        self._stub = AudiencesServiceStub(contacts.channel)

    async def ShowUnsubscribe(self, request: pb.ShowUnsubscribeRequest, context: Context) -> HttpBody:
        await self._opened(request.code, LinkOpened.UNSUBSCRIBE)
        return link_pages.unsubscribe(request.code)

    async def Unsubscribe(self, request: pb.UnsubscribeRequest, context: Context) -> HttpBody:
        sent = await self._opened(request.code, LinkOpened.UNSUBSCRIBE)
        await self._stub.WithdrawConsent(
            contacts.WithdrawConsentRequest(phone=sent.recipient.phone, source="unsubscribe link"),
            metadata=self._contacts.metadata(sent.merchant_id),
            timeout=TIMEOUT_SECONDS,
        )
        return link_pages.unsubscribed()

    async def ResolveCode(self, request: pb.ResolveCodeRequest, context: Context) -> pb.ResolveCodeResponse:
        message_id = self._codes.message_id(request.code)
        if message_id is None or message_id >= MESSAGE_IDS:
            raise LinkNotFound
        return pb.ResolveCodeResponse(message_id=message_id)

    async def _opened(self, code: str, kind: LinkOpened.Kind.ValueType) -> Sent:
        """The text of the link that is being opened, which is said once a day. Refuses `LinkNotFound`."""
        now = datetime.now(UTC)
        # Across merchants: only the link says whose customer this is.
        async with CampaignStore.open_pipeline(self._database) as store:
            sent = await self._sent(store, code)
            # However often a scanner comes: what it costs is bounded, and a code that leads nowhere costs nothing.
            if await store.first_time(f"opened:{sent.message_id}:{kind}:{now.date()}"):
                event = LinkOpened(merchant_id=sent.merchant_id, campaign_id=sent.campaign_id, kind=kind)
                event.message_id = sent.message_id
                event.open_time.FromDatetime(now)
                if sent.recipient.contact_id:
                    event.contact_id = str(UUID(bytes=sent.recipient.contact_id))
                await store.emit(event)
        return sent

    async def _sent(self, store: CampaignStore, code: str) -> Sent:
        message_id = self._codes.message_id(code) or 0
        batch_id, index = place(message_id)
        row = await store.batch(batch_id) if batch_id < 1 << 46 else None
        recipients = SendBatch.FromString(row.payload).recipients if row else []
        if row is None or index >= len(recipients):
            raise LinkNotFound
        return Sent(row.merchant_id, row.campaign_id, message_id, recipients[index])
