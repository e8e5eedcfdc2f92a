"""The till: a shop looks at an offer by the code that a customer shows, and redeems it."""

import secrets
from datetime import UTC, datetime

from astronote.campaigns.v1 import offers_pb2 as pb
from astronote.campaigns.v1 import offers_pb2_grpc as rpc
from astronote.campaigns.v1.events_pb2 import OfferRedeemed
from kit import caller
from kit.interceptors import Context
from kit.rows import AnyRow
from kit.store import Database
from services.campaigns import offers
from services.campaigns.codes import Codes
from services.campaigns.errors import LinkNotFound, OfferNotFound
from services.campaigns.store import CampaignStore


class Offers(rpc.OffersServiceServicer):
    def __init__(self, database: Database, codes: Codes) -> None:
        self._database, self._codes = database, codes

    async def GetOffer(self, request: pb.GetOfferRequest, context: Context) -> pb.Offer:
        async with CampaignStore.open(self._database, caller.merchant_id()) as store:
            response, terms = await self._found(store, request.code)
        return offers.shown(response, terms, datetime.now(UTC))

    async def RedeemOffer(self, request: pb.RedeemOfferRequest, context: Context) -> pb.Offer:
        who, now = caller.current(), datetime.now(UTC)
        async with CampaignStore.open(self._database, who.merchant_id) as store:
            if answer := await store.replayed(request, pb.Offer):
                return answer
            response, terms = await self._found(store, request.code)
            offers.check_redeemable(offers.shown(response, terms, now))
            response = await store.note_redemption(response, now, who.user_id, who.api_key_id)
            event = OfferRedeemed(merchant_id=who.merchant_id, campaign_id=response.campaign_id)
            event.message_id, event.contact_id = response.message_id, response.contact_id or ""
            event.redeem_time.FromDatetime(now)
            await store.emit(event)
            return await store.answered(request, offers.shown(response, terms, now))

    async def _found(self, store: CampaignStore, code: str) -> tuple[AnyRow, pb.OfferTerms | None]:
        """The offer of one person, locked, and what it says. Refuses `OfferNotFound`."""
        if till_code := offers.till_code(code):
            response = await store.response_at_till(till_code)
        else:
            try:
                sent = await store.sent(self._codes.message_id(code))
            except LinkNotFound as error:
                raise OfferNotFound from error
            response = await store.response(sent, offers.till_codes(secrets.randbelow))
        if response is None:
            raise OfferNotFound
        campaign = await store.campaign(response.campaign_id)
        if not campaign.offer_link:
            raise OfferNotFound
        return response, campaign.offer
