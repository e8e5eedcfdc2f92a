"""What the links in the texts lead to. The code is the proof: nobody is logged in here."""

from google.api.httpbody_pb2 import HttpBody

from astronote.campaigns.v1 import campaigns_pb2 as pb
from astronote.campaigns.v1 import campaigns_pb2_grpc as rpc
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


class Links(rpc.LinksServiceServicer):
    def __init__(self, database: Database, contacts: Peer, codes: Codes) -> None:
        self._database, self._contacts, self._codes = database, contacts, codes
        self._stub = AudiencesServiceStub(contacts.channel)

    async def ShowUnsubscribe(self, request: pb.ShowUnsubscribeRequest, context: Context) -> HttpBody:
        await self._recipient(request.code)
        return link_pages.unsubscribe(request.code)

    async def Unsubscribe(self, request: pb.UnsubscribeRequest, context: Context) -> HttpBody:
        merchant_id, recipient = await self._recipient(request.code)
        await self._stub.WithdrawConsent(
            contacts.WithdrawConsentRequest(phone=recipient.phone, source="unsubscribe link"),
            metadata=self._contacts.metadata(merchant_id),
            timeout=TIMEOUT_SECONDS,
        )
        return link_pages.unsubscribed()

    async def ResolveCode(self, request: pb.ResolveCodeRequest, context: Context) -> pb.ResolveCodeResponse:
        message_id = self._codes.message_id(request.code)
        if message_id is None or message_id >= MESSAGE_IDS:
            raise LinkNotFound
        return pb.ResolveCodeResponse(message_id=message_id)

    async def _recipient(self, code: str) -> tuple[str, BatchRecipient]:
        """The merchant and the person that a code was made for. Refuses `LinkNotFound`."""
        message_id = self._codes.message_id(code)
        batch_id, index = place(message_id or 0)
        # Across merchants: only the link says whose customer this is.
        async with CampaignStore.open_pipeline(self._database) as store:
            row = await store.batch(batch_id) if batch_id < 1 << 46 else None
        recipients = SendBatch.FromString(row.payload).recipients if row else []
        if row is None or index >= len(recipients):
            raise LinkNotFound
        return row.merchant_id, recipients[index]
