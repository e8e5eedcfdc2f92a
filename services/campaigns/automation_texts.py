"""The texts of the automations: those that are due together become a small campaign, and go the road of all campaigns.

Who gets one is noted in the transaction that makes the campaign, so that nobody is texted twice whatever dies: until
its commit nothing was sent and the lease runs out, from then on the campaign is on its way (docs/adr/0027).
"""

import asyncio
import uuid
from collections.abc import Sequence
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

import grpc
import structlog

from astronote.accounts.v1.accounts_pb2 import Merchant
from astronote.campaigns.v1.automations_pb2 import Automation
from astronote.campaigns.v1.campaigns_pb2 import Campaign
from astronote.contacts.v1.contacts_pb2 import AudienceMember
from astronote.wallet.v1 import wallet_pb2 as wallet
from astronote.wallet.v1.wallet_pb2_grpc import WalletServiceStub
from kit.channel import Peer
from kit.errors import DomainError
from kit.rows import AnyRow
from kit.store import Database
from services.campaigns import automations, batching, offers, starting, waves
from services.campaigns.codes import Codes
from services.campaigns.errors import SenderNameMissing, SubscriptionRequired
from services.campaigns.merchants import Merchants
from services.campaigns.preparation import Audiences
from services.campaigns.rendering import Text, campaign_text
from services.campaigns.store import CampaignStore
from services.campaigns.store.audiences import LeaseLostError

PEOPLE_MAX = 1000
# Longer than all that is asked before a campaign is made.
LEASE_SECONDS = 60
TIMEOUT_SECONDS = 5
CONDITIONS, DISABLED, AUDIENCE_INVALID = "conditions", "disabled", "audience_invalid"
log = structlog.get_logger()


class AutomationTexts:
    """`made` is set when a campaign is to be paid for."""

    def __init__(
        self,
        database: Database,
        merchants: Merchants,
        audiences: Audiences,
        wallet: Peer,
        codes: Codes,
        public_base_url: str,
        made: asyncio.Event,
    ) -> None:
        self._database, self._merchants, self._audiences, self._codes = database, merchants, audiences, codes
        self._wallet, self._wallet_stub = wallet, WalletServiceStub(wallet.channel)
        self._public_base_url, self._made = public_base_url, made

    async def step(self) -> bool:
        lease_id = str(uuid.uuid4())
        async with CampaignStore.open_pipeline(self._database) as store:
            taken = await store.take_enrolments(PEOPLE_MAX, lease_id, LEASE_SECONDS)
            automation = await store.enrolled_automation(taken[0]) if taken else None
        if not taken:
            return False
        try:
            if automation is None:
                await self._skip(taken, lease_id, DISABLED)
            else:
                await self._make(taken, lease_id, automation)
        except LeaseLostError:
            log.info("enrolments given up", automation_id=taken[0].automation_id)
        return True

    async def _make(self, taken: Sequence[AnyRow], lease_id: str, automation: Automation) -> None:
        merchant_id = taken[0].merchant_id
        merchant = await self._merchants.get(merchant_id)
        base_url = merchant.public_base_url or self._public_base_url
        try:
            await self._check(merchant, automation)
            text = campaign_text(automation, base_url)
        except DomainError as error:
            await self._skip(taken, lease_id, error.reason().lower())
            return
        members = await self._members(merchant_id, [row.contact_id for row in taken], automation, text)
        if not members:
            await self._skip(taken, lease_id, AUDIENCE_INVALID if members is None else CONDITIONS)
            return
        values = {"merchant_id": merchant_id, "kind": Campaign.AUTOMATION, "parent_id": automation.id}
        values |= {name: getattr(automation, name) for name in ("name", "text", "offer_link", "track_links")}
        values |= {"audience": automations.audience(automation.conditions), "offer": automation.offer}
        sender_name = automation.sender_name or merchant.sender_name
        values |= starting.frozen(merchant, sender_name, base_url) | starting.house_rules(merchant)
        async with CampaignStore.open_pipeline(self._database) as store:
            begun = await store.begin_small(values)
            due = waves.of(begun, members, timedelta())
            ids = await store.next_batch_ids(len(due))
            batches = batching.of_waves(begun, ids, text, due, self._codes)
            await store.freeze_small(begun, batches, len(members))
            sent = [str(uuid.UUID(bytes=member.contact_id)) for member in members]
            await store.settle_enrolments(taken, lease_id, CONDITIONS, sent, begun.id)
        self._made.set()

    async def _check(self, merchant: Merchant, automation: Automation) -> None:
        """Refuses `SenderNameMissing`, `OfferExpired`, `SubscriptionRequired`."""
        if not (automation.sender_name or merchant.sender_name):
            raise SenderNameMissing(field="sender_name")
        offers.check_open(automation.offer, datetime.now(UTC))
        entitlement = await self._wallet_stub.GetEntitlement(
            wallet.GetEntitlementRequest(), metadata=self._wallet.metadata(merchant.id), timeout=TIMEOUT_SECONDS
        )
        if not entitlement.campaigns:
            raise SubscriptionRequired

    async def _members(
        self, merchant_id: str, contact_ids: Sequence[str], automation: Automation, text: Text
    ) -> list[AudienceMember] | None:
        """Those of the contacts whom the conditions select now; none where there can't be any, since a list is gone."""
        audience = automations.audience(automation.conditions)
        few = list(dict.fromkeys(contact_ids))
        fields = (*text.fields, waves.TIME_ZONE)
        pages = self._audiences.pages(merchant_id, audience, fields, PEOPLE_MAX, contact_ids=few)
        try:
            async with aclosing(pages):
                return [member async for page in pages for member in page.members]
        except grpc.aio.AioRpcError as error:
            if error.code() not in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND):
                raise
            return None

    async def _skip(self, taken: Sequence[AnyRow], lease_id: str, reason: str) -> None:
        async with CampaignStore.open_pipeline(self._database) as store:
            await store.settle_enrolments(taken, lease_id, reason)
