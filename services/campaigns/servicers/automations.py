"""The RPCs over automations. The two that every merchant has are kept with their first change."""

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from google.protobuf.empty_pb2 import Empty
from google.protobuf.field_mask_pb2 import FieldMask

from astronote.accounts.v1.accounts_pb2 import Merchant
from astronote.campaigns.v1 import automations_pb2 as pb
from astronote.campaigns.v1 import automations_pb2_grpc as rpc
from astronote.contacts.v1.audience_pb2 import Audience
from kit import caller, rows
from kit.interceptors import Context
from kit.store import Database
from services.campaigns import automations
from services.campaigns.automations import OURS, WRITABLE
from services.campaigns.errors import AutomationInvalid, AutomationNotFound
from services.campaigns.merchants import Merchants
from services.campaigns.preparation import Audiences
from services.campaigns.store import CampaignStore

STATS_DAYS, STATS_DAYS_MAX = 30, 366


class Automations(rpc.AutomationsServiceServicer):
    def __init__(self, database: Database, merchants: Merchants, audiences: Audiences) -> None:
        self._database, self._merchants, self._audiences = database, merchants, audiences

    async def CreateAutomation(self, request: pb.CreateAutomationRequest, context: Context) -> pb.Automation:
        automation = request.automation
        automations.check(automation)
        merchant = await self._asked(automation, sorted(WRITABLE))
        async with CampaignStore.open(self._database, caller.merchant_id()) as store:
            if answer := await store.replayed(request, pb.Automation):
                return answer
            await store.check_room()
            automation.id = str(uuid.uuid4())
            return await store.answered(request, await _keep(store, automation, merchant))

    async def GetAutomation(self, request: pb.GetAutomationRequest, context: Context) -> pb.Automation:
        merchant = await self._merchants.get(caller.merchant_id())
        async with CampaignStore.open(self._database, caller.merchant_id()) as store:
            return await _found(store, request.id, merchant)

    async def ListAutomations(self, request: pb.ListAutomationsRequest, context: Context) -> pb.ListAutomationsResponse:
        merchant = await self._merchants.get(caller.merchant_id())
        async with CampaignStore.open(self._database, caller.merchant_id()) as store:
            kept = {automation.id: automation for automation in await store.all_automations()}
        ours = {id: automations.default(id, merchant) for id in OURS}
        return pb.ListAutomationsResponse(automations=(ours | kept).values())

    async def UpdateAutomation(self, request: pb.UpdateAutomationRequest, context: Context) -> pb.Automation:
        changed = request.automation
        paths = rows.paths(request.update_mask, changed, WRITABLE)
        automations.check_writable(changed.id, paths)
        merchant = await self._asked(changed, paths)
        async with CampaignStore.open(self._database, caller.merchant_id()) as store:
            automation = await _found(store, changed.id, merchant, lock=True)
            FieldMask(paths=paths).MergeMessage(changed, automation, replace_message_field=True)
            automations.check(automation)
            return await _keep(store, automation, merchant)

    async def DeleteAutomation(self, request: pb.DeleteAutomationRequest, context: Context) -> Empty:
        if request.id in OURS:
            raise AutomationNotFound(id=request.id)
        async with CampaignStore.open(self._database, caller.merchant_id()) as store:
            await store.delete_automation(request.id)
        return Empty()

    async def GetAutomationStats(self, request: pb.GetAutomationStatsRequest, context: Context) -> pb.AutomationStats:
        if not 0 <= request.days <= STATS_DAYS_MAX:
            raise AutomationInvalid(field="days", days_max=STATS_DAYS_MAX)
        async with CampaignStore.open(self._database, caller.merchant_id()) as store:
            if request.id not in OURS and await store.automation(request.id) is None:
                raise AutomationNotFound(id=request.id[:100])
            return await store.automation_stats(request.id, request.days or STATS_DAYS)

    async def _asked(self, automation: pb.Automation, paths: Sequence[str]) -> Merchant:
        """The merchant. What is wrong with the conditions, and whether there is the list, contacts says; that goes on
        to whoever asked.
        """
        merchant_id = caller.merchant_id()
        if "conditions" in paths:
            await self._audiences.count(merchant_id, automations.audience(automation.conditions))
        if "trigger" in paths and automation.trigger.list_id:
            await self._audiences.count(merchant_id, Audience(list_ids=[automation.trigger.list_id]))
        return await self._merchants.get(merchant_id)


async def _found(store: CampaignStore, id: str, merchant: Merchant, *, lock: bool = False) -> pb.Automation:
    """Refuses `AutomationNotFound`."""
    automation = await store.automation(id, lock=lock)
    if automation is None and id in OURS:
        automation = automations.default(id, merchant)
    if automation is None:
        raise AutomationNotFound(id=id[:100])
    return automation


async def _keep(store: CampaignStore, automation: pb.Automation, merchant: Merchant) -> pb.Automation:
    run_time = None
    if automation.enabled and automation.daily_time:
        zone = ZoneInfo(merchant.time_zone)
        run_time = automations.next_run(automation.daily_time, zone, datetime.now(UTC))
    return await store.keep_automation(automation, run_time)
