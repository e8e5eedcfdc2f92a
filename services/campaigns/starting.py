"""The start of a campaign, by a verb or by its schedule: what has to be so, and what is frozen then."""

from datetime import datetime

from astronote.accounts.v1.accounts_pb2 import FrequencyCap, Merchant, QuietHours
from astronote.campaigns.v1.campaigns_pb2 import Campaign
from astronote.contacts.v1.audience_pb2 import Audience
from astronote.wallet.v1 import wallet_pb2 as wallet
from astronote.wallet.v1.wallet_pb2_grpc import WalletServiceStub
from kit.channel import Peer
from kit.rows import AnyRow
from services.campaigns import offers
from services.campaigns.errors import InsufficientCredits, NoRecipients, SenderNameMissing, SubscriptionRequired
from services.campaigns.merchants import Merchants
from services.campaigns.preparation import Audiences
from services.campaigns.rendering import experiment_text
from services.campaigns.store import CampaignStore

TIMEOUT_SECONDS = 5


class Starter:
    def __init__(self, merchants: Merchants, audiences: Audiences, wallet: Peer, public_base_url: str) -> None:
        self._merchants, self._audiences, self._public_base_url = merchants, audiences, public_base_url
        self._wallet, self._wallet_stub = wallet, WalletServiceStub(wallet.channel)

    async def ready(self, merchant_id: str, audience: Audience) -> Merchant:
        """What can be said before the exact price is known. Asks other services: outside of a transaction.

        Refuses `NoRecipients`, `SubscriptionRequired`, `InsufficientCredits`.
        """
        merchant = await self._merchants.get(merchant_id)
        recipients = await self._audiences.count(merchant_id, audience)
        if not recipients:
            raise NoRecipients(field="audience")
        metadata = self._wallet.metadata(merchant_id)
        entitlement = await self._wallet_stub.GetEntitlement(
            wallet.GetEntitlementRequest(), metadata=metadata, timeout=TIMEOUT_SECONDS
        )
        if not entitlement.campaigns:
            raise SubscriptionRequired
        available = await self.balance(merchant_id)
        if available < recipients:
            raise InsufficientCredits(available=available, shortfall_min=recipients - available)
        return merchant

    async def start(self, store: CampaignStore, row: AnyRow, merchant: Merchant, now: datetime) -> AnyRow:
        """Has a locked campaign prepared as it stands. Refuses what `check` refuses, before anything is written."""
        sender_name = check(row, merchant, now)
        base_url = merchant.public_base_url or self._public_base_url
        kept = frozen(merchant, sender_name, base_url)
        return await store.start(row.id, kept | house_rules(merchant, row.quiet_hours, row.frequency_cap))

    async def balance(self, merchant_id: str) -> int:
        """The credits that are available."""
        metadata = self._wallet.metadata(merchant_id)
        answer = await self._wallet_stub.GetWallet(
            wallet.GetWalletRequest(), metadata=metadata, timeout=TIMEOUT_SECONDS
        )
        return answer.available


def frozen(merchant: Merchant, sender_name: str, base_url: str) -> dict[str, object]:
    """What of the merchant's profile a campaign keeps from its start on, by column."""
    links = {"link_base_url": base_url, "company": merchant.company, "time_zone": merchant.time_zone}
    return {"sender_name": sender_name, **links}


def house_rules(
    merchant: Merchant,
    quiet_hours: Campaign.HouseRule.ValueType = Campaign.MERCHANT,
    frequency_cap: Campaign.HouseRule.ValueType = Campaign.MERCHANT,
) -> dict[str, object]:
    """Those of the merchant's that hold for a campaign, from its start on, by column."""
    hours = merchant.quiet_hours if quiet_hours == Campaign.MERCHANT else QuietHours()
    cap = merchant.frequency_cap if frequency_cap == Campaign.MERCHANT else FrequencyCap()
    frozen_cap = {"cap_texts": cap.texts_max, "cap_days": cap.days}
    return {"quiet_start": hours.start, "quiet_end": hours.end, **frozen_cap}


def check(row: AnyRow, merchant: Merchant, start_time: datetime) -> str:
    """The name that it is sent under. Refuses `SenderNameMissing`, `TextInvalid`, `OfferExpired`."""
    sender_name: str = row.sender_name or merchant.sender_name
    if not sender_name:
        raise SenderNameMissing(field="sender_name")
    experiment_text(row, "")
    offers.check_open(row.offer, start_time)
    return sender_name
