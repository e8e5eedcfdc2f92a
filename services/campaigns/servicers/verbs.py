"""The verbs that move a campaign. Each is one compare-and-set under the campaign's lock."""

import asyncio
from datetime import UTC, datetime

from astronote.campaigns.v1 import campaigns_pb2 as pb
from astronote.campaigns.v1 import campaigns_pb2_grpc as rpc
from astronote.wallet.v1 import wallet_pb2 as wallet
from astronote.wallet.v1.wallet_pb2_grpc import WalletServiceStub
from kit import caller
from kit.channel import Peer
from kit.interceptors import Context
from kit.store import Database
from services.campaigns import offers, states
from services.campaigns.codes import Codes
from services.campaigns.errors import InsufficientCredits, NoRecipients, SenderNameMissing, SubscriptionRequired
from services.campaigns.merchants import Merchants
from services.campaigns.preparation import Audiences
from services.campaigns.rendering import campaign_text
from services.campaigns.store import CampaignStore
from services.campaigns.store.campaigns import shown

TIMEOUT_SECONDS = 5


class Verbs(rpc.CampaignsServiceServicer):
    def __init__(
        self,
        database: Database,
        merchants: Merchants,
        audiences: Audiences,
        wallet: Peer,
        codes: Codes,
        public_base_url: str,
        page_size: int,
        started: asyncio.Event,
        due: asyncio.Event,
    ) -> None:
        self._database, self._merchants, self._audiences = database, merchants, audiences
        self._wallet, self._wallet_stub = wallet, WalletServiceStub(wallet.channel)
        self._codes = codes
        self._public_base_url, self._page_size = public_base_url, page_size
        self._started, self._due = started, due

    async def SendCampaign(self, request: pb.SendCampaignRequest, context: Context) -> pb.Campaign:
        merchant_id = caller.merchant_id()
        async with CampaignStore.open(self._database, merchant_id) as store:
            if answer := await store.recalled(request, pb.Campaign):
                return answer
            row = await store.campaign(request.id)
            states.check(row.state, "send")
        merchant = await self._merchants.get(merchant_id)
        await self._check_means(merchant_id, await self._audiences.count(merchant_id, row.audience))
        async with CampaignStore.open(self._database, merchant_id) as store:
            if answer := await store.replayed(request, pb.Campaign):
                return answer
            row = await store.campaign(request.id, lock=True)
            states.check(row.state, "send")
            # As it stands now: it may have been edited a moment ago.
            sender_name = row.sender_name or merchant.sender_name
            if not sender_name:
                raise SenderNameMissing(field="sender_name")
            campaign_text(row, "")
            offers.check_open(row.offer, datetime.now(UTC))
            base_url = merchant.public_base_url or self._public_base_url
            row = await store.start(request.id, sender_name, base_url, merchant.company, merchant.time_zone)
            answer = await store.answered(request, shown(row))
        self._started.set()
        return answer

    async def PauseCampaign(self, request: pb.PauseCampaignRequest, context: Context) -> pb.Campaign:
        async with CampaignStore.open(self._database, caller.merchant_id()) as store:
            if answer := await store.replayed(request, pb.Campaign):
                return answer
            states.check((await store.campaign(request.id, lock=True)).state, "pause")
            row = await store.update_campaign(request.id, state=pb.Campaign.PAUSED)
            return await store.answered(request, shown(row))

    async def ResumeCampaign(self, request: pb.ResumeCampaignRequest, context: Context) -> pb.Campaign:
        async with CampaignStore.open(self._database, caller.merchant_id()) as store:
            if answer := await store.replayed(request, pb.Campaign):
                return answer
            row = await store.campaign(request.id, lock=True)
            states.check(row.state, "resume")
            answer = await store.answered(request, shown(await store.resume(row)))
        self._started.set()
        self._due.set()
        return answer

    async def CancelCampaign(self, request: pb.CancelCampaignRequest, context: Context) -> pb.Campaign:
        async with CampaignStore.open(self._database, caller.merchant_id()) as store:
            if answer := await store.replayed(request, pb.Campaign):
                return answer
            row = await store.campaign(request.id, lock=True)
            states.check(row.state, "cancel")
            return await store.answered(request, shown(await store.cancel(row)))

    async def _check_means(self, merchant_id: str, recipients: int) -> None:
        """What can be said before the exact price is known."""
        if not recipients:
            raise NoRecipients(field="audience")
        metadata = self._wallet.metadata(merchant_id)
        entitlement = await self._wallet_stub.GetEntitlement(
            wallet.GetEntitlementRequest(), metadata=metadata, timeout=TIMEOUT_SECONDS
        )
        if not entitlement.campaigns:
            raise SubscriptionRequired
        available = await self._balance(merchant_id)
        if available < recipients:
            raise InsufficientCredits(available=available, shortfall_min=recipients - available)

    async def _balance(self, merchant_id: str) -> int:
        metadata = self._wallet.metadata(merchant_id)
        answer = await self._wallet_stub.GetWallet(
            wallet.GetWalletRequest(), metadata=metadata, timeout=TIMEOUT_SECONDS
        )
        return answer.available
