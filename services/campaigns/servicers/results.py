"""The RPCs that show what came of the texts."""

from collections import Counter
from datetime import UTC, datetime
from uuid import UUID

from astronote.campaigns.v1 import reports_pb2 as pb
from astronote.campaigns.v1 import reports_pb2_grpc as rpc
from astronote.sender.v1.batches_pb2 import BatchRecipient, SendBatch
from kit import caller, pages, rows
from kit.interceptors import Context
from kit.rows import AnyRow
from kit.store import Database
from services.campaigns import explaining, history
from services.campaigns.codes import first_message_id
from services.campaigns.errors import RecipientNotFound
from services.campaigns.explaining import Facts
from services.campaigns.merchants import Merchants
from services.campaigns.recipients import Outcomes, Recipients
from services.campaigns.sent import contact_id
from services.campaigns.store import CampaignStore
from services.campaigns.tables import ACTIVITY


class Results(rpc.ResultsServiceServicer):
    def __init__(self, database: Database, merchants: Merchants, outcomes: Outcomes) -> None:
        self._database, self._merchants, self._outcomes = database, merchants, outcomes
        self._recipients = Recipients(database, outcomes)

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

    async def ListRecipients(self, request: pb.ListRecipientsRequest, context: Context) -> pb.ListRecipientsResponse:
        limit, after = pages.size(request.page_size), pages.after(request.page_token, pages.number)
        async with CampaignStore.open(self._database, caller.merchant_id()) as store:
            campaign = await store.campaign(request.id)
        page, reached = await self._recipients.page(campaign, request.state, after or 0, limit)
        token = pages.token([reached], 1, int) if reached else ""
        return pb.ListRecipientsResponse(recipients=page, next_page_token=token)

    async def ExplainRecipient(self, request: pb.ExplainRecipientRequest, context: Context) -> pb.Explanation:
        merchant_id = caller.merchant_id()
        async with CampaignStore.open(self._database, merchant_id) as store:
            campaign, batch = await self._place(store, request)
            found = _recipient(batch, request) if batch else None
            message_id, recipient = found or (0, None)
            response = await store.response_to(message_id)
        who = contact_id(recipient) if recipient else request.contact_id
        consents = await self._outcomes.consents(merchant_id, who) if who else None
        if recipient is None and consents is None:
            raise RecipientNotFound(contact_id=request.contact_id)
        outcome = await self._outcomes.outcome(merchant_id, message_id) if message_id else None
        facts = Facts(campaign, batch, recipient, outcome, consents, response, who, datetime.now(UTC))
        return pb.Explanation(
            campaign_id=campaign.id,
            message_id=message_id,
            contact_id=who,
            audience=campaign.audience,
            text=recipient.text if recipient else "",
            steps=explaining.steps(facts),
        )

    async def _place(self, store: CampaignStore, request: pb.ExplainRecipientRequest) -> tuple[AnyRow, AnyRow | None]:
        """The campaign, and the batch that has the recipient. Refuses `RecipientNotFound`, `CampaignNotFound`."""
        if request.message_id:
            batch = await store.batch_of(request.message_id)
            return await store.campaign(batch.campaign_id), batch
        campaign = await store.campaign(request.campaign_id)
        return campaign, await store.batch_with(campaign.id, rows.uuid(request.contact_id, RecipientNotFound))


def _recipient(batch: AnyRow, request: pb.ExplainRecipientRequest) -> tuple[int, BatchRecipient] | None:
    """The message and its place in the batch, by either; the place is empty once its reader is forgotten."""
    people, first_id = SendBatch.FromString(batch.payload).recipients, first_message_id(batch.id)
    if request.message_id:
        return request.message_id, people[request.message_id - first_id] if people else BatchRecipient()
    sought = UUID(request.contact_id).bytes
    return next(((first_id + index, each) for index, each in enumerate(people) if each.contact_id == sought), None)


def _sum(days: list[pb.Day]) -> pb.Activity:
    total: Counter[str] = Counter()
    for day in days:
        total.update({name: getattr(day.activity, name) for name in ACTIVITY})
    return pb.Activity(**total)
