"""The RPCs that show what came of the texts."""

from collections import Counter
from datetime import UTC, datetime

from astronote.campaigns.v1 import reports_pb2 as pb
from astronote.campaigns.v1 import reports_pb2_grpc as rpc
from kit import caller, pages
from kit.interceptors import Context
from kit.store import Database
from services.campaigns import history
from services.campaigns.merchants import Merchants
from services.campaigns.store import CampaignStore
from services.campaigns.tables import ACTIVITY


class Results(rpc.ResultsServiceServicer):
    def __init__(self, database: Database, merchants: Merchants) -> None:
        self._database, self._merchants = database, merchants

    async def GetDashboard(self, request: pb.GetDashboardRequest, context: Context) -> pb.Dashboard:
        merchant_id = caller.merchant_id()
        merchant = await self._merchants.get(merchant_id)
        dates = history.day_starts(request.days, datetime.now(UTC), merchant.time_zone)
        async with CampaignStore.open(self._database, merchant_id) as store:
            found = await store.days([start for _, start in dates])
            started, running = await store.campaigns_since(dates[len(dates) // 2][1])
        days = [pb.Day(date=each.isoformat(), activity=pb.Activity()) for each, _ in dates]
        for place, row in found.items():
            days[place - 1].activity.MergeFrom(history.activity(row))
        half = len(days) // 2
        return pb.Dashboard(
            time_zone=merchant.time_zone or "UTC",
            total=_sum(days[half:]),
            previous=_sum(days[:half]),
            days=days[half:],
            campaigns=started,
            running_campaigns=running,
        )

    async def ListResponses(self, request: pb.ListResponsesRequest, context: Context) -> pb.ListResponsesResponse:
        limit, after = pages.size(request.page_size), pages.after(request.page_token, pages.number)
        async with CampaignStore.open(self._database, caller.merchant_id()) as store:
            campaign = await store.campaign(request.id)
            page = await store.response_page(campaign.id, request.kind, after, limit)
        token = pages.token(page, limit, lambda response: response.message_id)
        return pb.ListResponsesResponse(responses=page, next_page_token=token)


def _sum(days: list[pb.Day]) -> pb.Activity:
    total: Counter[str] = Counter()
    for day in days:
        total.update({name: getattr(day.activity, name) for name in ACTIVITY})
    return pb.Activity(**total)
