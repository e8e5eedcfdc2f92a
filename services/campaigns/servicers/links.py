"""What the links in the texts lead to. The code is the proof: nobody is logged in here."""

import secrets
from datetime import UTC, datetime

from google.api.httpbody_pb2 import HttpBody

from astronote.campaigns.v1 import campaigns_pb2 as pb
from astronote.campaigns.v1 import campaigns_pb2_grpc as rpc
from astronote.campaigns.v1 import links_pb2 as links_pb
from astronote.campaigns.v1 import links_pb2_grpc as links_rpc
from astronote.campaigns.v1.events_pb2 import LinkOpened
from astronote.contacts.v1 import contacts_pb2 as contacts
from astronote.contacts.v1.contacts_pb2_grpc import AudiencesServiceStub
from kit import caller
from kit.channel import Peer
from kit.interceptors import Context
from kit.store import Database
from services.campaigns import link_pages, machines, offers, short_links
from services.campaigns.codes import Codes
from services.campaigns.errors import LinkNotFound
from services.campaigns.link_pages import Reader
from services.campaigns.link_words import words_for
from services.campaigns.rendering import tracked_links
from services.campaigns.sent import Sent
from services.campaigns.store import CampaignStore

TIMEOUT_SECONDS = 5
# As many as there can be: what lies above has the origin's bit set, which none of ours has.
MESSAGE_IDS = 1 << 63


class Links(rpc.LinksServiceServicer, links_rpc.ShortLinksServiceServicer):
    """Its transactions work across merchants: only the link says whose customer this is."""

    def __init__(self, database: Database, contacts: Peer, codes: Codes) -> None:
        self._database, self._contacts, self._codes = database, contacts, codes
        self._stub = AudiencesServiceStub(contacts.channel)

    async def ShowUnsubscribe(self, request: pb.ShowUnsubscribeRequest, context: Context) -> HttpBody:
        async with CampaignStore.open_pipeline(self._database) as store:
            sent = await self._opened(store, request.code, LinkOpened.UNSUBSCRIBE)
        return link_pages.unsubscribe(_reader(request, sent))

    async def Unsubscribe(self, request: pb.UnsubscribeRequest, context: Context) -> HttpBody:
        async with CampaignStore.open_pipeline(self._database) as store:
            sent = await self._opened(store, request.code, LinkOpened.UNSUBSCRIBE)
        await self._stub.WithdrawConsent(
            contacts.WithdrawConsentRequest(phone=sent.recipient.phone, source="unsubscribe link"),
            metadata=self._contacts.metadata(sent.merchant_id),
            timeout=TIMEOUT_SECONDS,
        )
        async with CampaignStore.open_pipeline(self._database) as store:
            response = await store.response(sent, offers.till_codes(secrets.randbelow))
            await store.note_unsubscribe(response, datetime.now(UTC))
        return link_pages.unsubscribed(_reader(request, sent))

    async def ShowOffer(self, request: pb.ShowOfferRequest, context: Context) -> HttpBody:
        async with CampaignStore.open_pipeline(self._database) as store:
            sent = await self._opened(store, request.code, LinkOpened.OFFER)
            if not sent.campaign.offer_link:
                raise LinkNotFound
            response = await store.response(sent, offers.till_codes(secrets.randbelow))
            await store.note_view(sent, response, by_machine=_is_machine(sent))
        offer = offers.shown(response, sent.campaign.offer, datetime.now(UTC))
        return link_pages.offer(_reader(request, sent), offer)

    async def FollowLink(self, request: links_pb.FollowLinkRequest, context: Context) -> links_pb.FollowLinkResponse:
        code, number = short_links.parted(request.code)
        async with CampaignStore.open_pipeline(self._database) as store:
            sent = await self._opened(store, code, LinkOpened.LINK)
            links = tracked_links(sent.written) if sent.campaign.track_links else []
            if not 0 < number <= len(links):
                raise LinkNotFound
            if _is_machine(sent):
                await store.note_machine_click(sent, number)
            else:
                response = await store.response(sent, offers.till_codes(secrets.randbelow))
                await store.note_click(sent, response, number, datetime.now(UTC))
        return links_pb.FollowLinkResponse(location=short_links.location(links[number - 1]))

    async def ResolveCode(self, request: pb.ResolveCodeRequest, context: Context) -> pb.ResolveCodeResponse:
        message_id = self._codes.message_id(request.code)
        if message_id is None or message_id >= MESSAGE_IDS:
            raise LinkNotFound
        return pb.ResolveCodeResponse(message_id=message_id)

    async def _opened(self, store: CampaignStore, code: str, kind: LinkOpened.Kind.ValueType) -> Sent:
        """The text of the link that is being opened, which is said once a day. Refuses `LinkNotFound`."""
        now = datetime.now(UTC)
        sent = await store.sent(self._codes.message_id(code))
        by_machine = _is_machine(sent)
        # However often a scanner comes: what it costs is bounded, and a code that leads nowhere costs nothing.
        if await store.first_time(f"opened:{sent.message_id}:{kind}:{by_machine:d}:{now.date()}"):
            event = LinkOpened(merchant_id=sent.merchant_id, campaign_id=sent.campaign_id, kind=kind)
            event.by_machine = by_machine
            event.message_id, event.contact_id = sent.message_id, sent.contact_id
            event.open_time.FromDatetime(now)
            await store.emit(event)
        return sent


def _is_machine(sent: Sent) -> bool:
    return machines.is_machine(caller.client_agent(), caller.client_purpose(), sent.campaign.sent_seconds)


def _reader(request: pb.ShowUnsubscribeRequest | pb.UnsubscribeRequest | pb.ShowOfferRequest, sent: Sent) -> Reader:
    campaign, recipient = sent.campaign, sent.recipient
    words = words_for(request.language, recipient.language, recipient.phone)
    # Campaigns of the release before kept no company.
    return Reader(request.code, campaign.company or campaign.sender_name, campaign.time_zone, words)
