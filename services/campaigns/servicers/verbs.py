"""The verbs that move a campaign. Each is one compare-and-set under the campaign's lock."""

import asyncio
from datetime import UTC, datetime

from astronote.campaigns.v1 import campaigns_pb2 as pb
from astronote.campaigns.v1 import campaigns_pb2_grpc as rpc
from astronote.campaigns.v1.schedules_pb2 import Schedule, ScheduleCampaignRequest, UnscheduleCampaignRequest
from kit import caller
from kit.interceptors import Context
from kit.store import Database
from services.campaigns import schedules, starting, states
from services.campaigns.codes import Codes
from services.campaigns.errors import ScheduleInvalid
from services.campaigns.merchants import Merchants
from services.campaigns.preparation import Audiences
from services.campaigns.starting import Starter
from services.campaigns.store import CampaignStore
from services.campaigns.store.campaigns import shown


class Verbs(rpc.CampaignsServiceServicer):
    def __init__(
        self,
        database: Database,
        merchants: Merchants,
        audiences: Audiences,
        starter: Starter,
        codes: Codes,
        public_base_url: str,
        page_size: int,
        started: asyncio.Event,
        due: asyncio.Event,
        leaving: asyncio.Event,
    ) -> None:
        self._database, self._merchants, self._audiences = database, merchants, audiences
        self._starter, self._codes = starter, codes
        self._public_base_url, self._page_size = public_base_url, page_size
        self._started, self._due, self._leaving = started, due, leaving

    async def SendCampaign(self, request: pb.SendCampaignRequest, context: Context) -> pb.Campaign:
        merchant_id = caller.merchant_id()
        async with CampaignStore.open(self._database, merchant_id) as store:
            if answer := await store.recalled(request, pb.Campaign):
                return answer
            row = await store.campaign(request.id)
            states.check(row.state, "send")
        merchant = await self._starter.ready(merchant_id, row.audience)
        async with CampaignStore.open(self._database, merchant_id) as store:
            if answer := await store.replayed(request, pb.Campaign):
                return answer
            # As it stands now: it may have been edited a moment ago.
            row = await store.campaign(request.id, lock=True)
            states.check(row.state, "send")
            row = await self._starter.start(store, row, merchant, datetime.now(UTC))
            answer = await store.answered(request, shown(row))
        self._started.set()
        return answer

    async def ScheduleCampaign(self, request: ScheduleCampaignRequest, context: Context) -> pb.Campaign:
        merchant_id = caller.merchant_id()
        async with CampaignStore.open(self._database, merchant_id) as store:
            if answer := await store.recalled(request, pb.Campaign):
                return answer
            row = await store.campaign(request.id)
            states.check(row.state, "schedule")
        merchant = await self._merchants.get(merchant_id)
        schedule = _chosen(request, row.schedule, merchant.time_zone)
        start = await asyncio.to_thread(schedules.first_start, schedule, datetime.now(UTC))
        async with CampaignStore.open(self._database, merchant_id) as store:
            if answer := await store.replayed(request, pb.Campaign):
                return answer
            row = await store.campaign(request.id, lock=True)
            states.check(row.state, "schedule")
            starting.check(row, merchant, start.due_time)
            return await store.answered(request, shown(await store.schedule(request.id, schedule, start)))

    async def UnscheduleCampaign(self, request: UnscheduleCampaignRequest, context: Context) -> pb.Campaign:
        async with CampaignStore.open(self._database, caller.merchant_id()) as store:
            if answer := await store.replayed(request, pb.Campaign):
                return answer
            states.check((await store.campaign(request.id, lock=True)).state, "unschedule")
            return await store.answered(request, shown(await store.unschedule(request.id)))

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


def _chosen(request: ScheduleCampaignRequest, own: Schedule | None, time_zone: str) -> Schedule:
    """With a time zone in any case. Refuses `ScheduleInvalid`."""
    schedule = request.schedule if request.HasField("schedule") else own
    if schedule is None:
        raise ScheduleInvalid(field="schedule", rule="the campaign has none of its own")
    schedules.check(schedule)
    chosen = Schedule(time_zone=time_zone)
    chosen.MergeFrom(schedule)
    return chosen
