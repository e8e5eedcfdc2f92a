"""The RPCs over campaigns: what merchants write, read and price. The verbs that move them are in `verbs`."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

from google.protobuf.empty_pb2 import Empty

from astronote.campaigns.v1 import campaigns_pb2 as pb
from astronote.campaigns.v1.reports_pb2 import Moment
from kit import caller, pages, rows
from kit.interceptors import Context
from kit.rows import AnyRow
from services.campaigns import books, experiments, history, offers, pricing, schedules, states
from services.campaigns.errors import CampaignInvalid, TextInvalid, WatchMoved
from services.campaigns.merchants import SENDER_NAME
from services.campaigns.rendering import compile_text, experiment_text, places_offer
from services.campaigns.servicers.trials import Trials
from services.campaigns.store import CampaignStore
from services.campaigns.store.campaigns import TEXT, shown

WRITABLE = frozenset(
    {"name", "template_id", "text", "audience", "sender_name", "offer_link", "offer", "track_links", "on_long_text"}
    | {"schedule", "throttle_per_hour", "quiet_hours", "frequency_cap", "experiment"}
)
NAME_CHARACTERS_MAX = 100
# The first of each is what goes without saying.
CHOICES = {
    "on_long_text": pb.Campaign.OnLongText,
    "quiet_hours": pb.Campaign.HouseRule,
    "frequency_cap": pb.Campaign.HouseRule,
}
# A batch a minute, with at least one text in it.
THROTTLES = range(60, 10_000_001)
LOOK_SECONDS = 0.5
MOMENTS_MAX = 500


class Campaigns(Trials):
    async def CreateCampaign(self, request: pb.CreateCampaignRequest, context: Context) -> pb.Campaign:
        campaign = request.campaign
        _check(campaign, sorted(WRITABLE))
        await self._audiences.count(caller.merchant_id(), campaign.audience)
        async with CampaignStore.open(self._database, caller.merchant_id()) as store:
            if answer := await store.replayed(request, pb.Campaign):
                return answer
            await _take_text(store, campaign)
            _check_links(campaign)
            return await store.answered(request, await store.create_campaign(campaign))

    async def GetCampaign(self, request: pb.GetCampaignRequest, context: Context) -> pb.Campaign:
        async with CampaignStore.open(self._database, caller.merchant_id()) as store:
            return shown(await store.campaign(request.id))

    async def ListCampaigns(self, request: pb.ListCampaignsRequest, context: Context) -> pb.ListCampaignsResponse:
        limit, before = pages.size(request.page_size), pages.after(request.page_token, pages.number)
        async with CampaignStore.open(self._database, caller.merchant_id()) as store:
            page = await store.campaign_page(request, before, limit)
        token = pages.token(page, limit, lambda row: row.number)
        return pb.ListCampaignsResponse(campaigns=map(shown, page), next_page_token=token)

    async def UpdateCampaign(self, request: pb.UpdateCampaignRequest, context: Context) -> pb.Campaign:
        campaign = request.campaign
        paths = rows.paths(request.update_mask, campaign, WRITABLE)
        _check(campaign, paths)
        if "audience" in paths:
            await self._audiences.count(caller.merchant_id(), campaign.audience)
        async with CampaignStore.open(self._database, caller.merchant_id()) as store:
            row = await store.campaign(campaign.id, lock=True)
            if not states.ALWAYS_EDITABLE.issuperset(paths):
                states.check(row.state, "edit")
            await _take_text(store, campaign)
            # A text of its own is no template's, and a template brings its text.
            whose = TEXT if set(TEXT) & set(paths) else []
            row = await store.edit_campaign(campaign, [*{*paths, *whose}])
            _check_links(row)
            return shown(row)

    async def CopyCampaign(self, request: pb.CopyCampaignRequest, context: Context) -> pb.Campaign:
        async with CampaignStore.open(self._database, caller.merchant_id()) as store:
            if answer := await store.replayed(request, pb.Campaign):
                return answer
            copy = shown(await store.campaign(request.id))
            copy.name = request.name or copy.name
            _check(copy, ["name"])
            return await store.answered(request, await store.create_campaign(copy))

    async def ArchiveCampaign(self, request: pb.ArchiveCampaignRequest, context: Context) -> pb.Campaign:
        async with CampaignStore.open(self._database, caller.merchant_id()) as store:
            row = await store.campaign(request.id, lock=True)
            states.check(row.state, "archive")
            time = row.archive_time or datetime.now(UTC)
            return shown(await store.update_campaign(request.id, archive_time=time))

    async def UnarchiveCampaign(self, request: pb.UnarchiveCampaignRequest, context: Context) -> pb.Campaign:
        async with CampaignStore.open(self._database, caller.merchant_id()) as store:
            await store.campaign(request.id, lock=True)
            return shown(await store.update_campaign(request.id, archive_time=None))

    async def DeleteCampaign(self, request: pb.DeleteCampaignRequest, context: Context) -> Empty:
        async with CampaignStore.open(self._database, caller.merchant_id()) as store:
            states.check((await store.campaign(request.id, lock=True)).state, "delete")
            await store.delete_campaign(request.id)
        return Empty()

    async def QuoteCampaign(self, request: pb.QuoteCampaignRequest, context: Context) -> pb.Quote:
        merchant_id = caller.merchant_id()
        async with CampaignStore.open(self._database, merchant_id) as store:
            row = await store.campaign(request.id)
        merchant = await self._merchants.get(merchant_id)
        base_url = merchant.public_base_url or self._public_base_url
        text, estimate = experiment_text(row, base_url), pricing.Estimate()
        async for page in self._audiences.pages(merchant_id, row.audience, text.fields, self._page_size):
            texted = experiments.texted(row, page.members)
            estimate.held_out += len(page.members) - len(texted)
            await asyncio.to_thread(estimate.add, text, texted, row.on_long_text)
        opted_out = await self._audiences.count_opted_out(merchant_id, row.audience)
        return estimate.quote(await self._starter.balance(merchant_id), opted_out)

    async def GetReport(self, request: pb.GetReportRequest, context: Context) -> pb.Report:
        async with CampaignStore.open(self._database, caller.merchant_id()) as store:
            row = await store.campaign(request.id)
            report = books.report(row, await store.response_counts(request.id))
            report.timeline.extend(
                Moment(start_time=each.start_time, activity=history.activity(each))
                for each in await store.timeline(row.id, MOMENTS_MAX)
            )
            report.links.extend(books.links(row, await store.link_counts(request.id)))
            if row.experiment:
                tried, did = await store.variant_counts(request.id), await store.conversion_counts(request.id)
                report.experiment.CopyFrom(experiments.result(row, tried, did, datetime.now(UTC)))
            return report

    async def WatchCampaign(self, request: pb.WatchCampaignRequest, context: Context) -> AsyncIterator[pb.Progress]:
        merchant_id, pace, is_final = caller.merchant_id(), books.Pace(request.last_event_id), False
        while not is_final:
            async with CampaignStore.open(self._database, merchant_id) as store:
                report = books.report(await store.campaign(request.id), await store.response_counts(request.id))
            if progress := pace.progress(report, datetime.now(UTC)):
                yield progress
            is_final = report.final
            if self._leaving.is_set() and not is_final:
                raise WatchMoved
            await asyncio.sleep(0 if is_final else LOOK_SECONDS)


def _check(campaign: pb.Campaign, paths: list[str]) -> None:
    """Refuses `CampaignInvalid`, `TextInvalid`, with the field."""
    if "name" in paths and not 0 < len(campaign.name.strip()) <= NAME_CHARACTERS_MAX:
        raise CampaignInvalid(field="campaign.name", characters_max=NAME_CHARACTERS_MAX)
    if {"text", "template_id"} & set(paths) and bool(campaign.text) == bool(campaign.template_id):
        raise CampaignInvalid(field="campaign.text", rule="either text or templateId")
    if "text" in paths and campaign.text:
        compile_text(campaign.text, field="campaign.text")
    if "sender_name" in paths and campaign.sender_name and not SENDER_NAME.fullmatch(campaign.sender_name):
        raise CampaignInvalid(field="campaign.sender_name", rule="3 to 11 letters and digits, or E.164")
    if "offer" in paths:
        offers.check(campaign.offer)
    _check_road(campaign, paths)


def _check_road(campaign: pb.Campaign, paths: list[str]) -> None:
    """When and how it goes out. Refuses `CampaignInvalid`, with the field."""
    if "throttle_per_hour" in paths and campaign.throttle_per_hour and campaign.throttle_per_hour not in THROTTLES:
        raise CampaignInvalid(field="campaign.throttle_per_hour", min=THROTTLES.start, max=THROTTLES.stop - 1)
    for name in CHOICES.keys() & set(paths):
        values = CHOICES[name].items()[1:]
        choice = getattr(campaign, name) or values[0][1]
        if choice not in dict(values).values():
            raise CampaignInvalid(field=f"campaign.{name}", rule=",".join(dict(values)))
        setattr(campaign, name, choice)
    if "experiment" in paths:
        experiments.check(campaign.experiment)
    if "schedule" in paths and campaign.HasField("schedule"):
        schedules.check(campaign.schedule, "campaign.schedule")


def _check_links(campaign: pb.Campaign | AnyRow) -> None:
    """Refuses `TextInvalid`."""
    experiment_text(campaign, "")
    texts = [campaign.text, *(campaign.experiment.texts if campaign.experiment else ())]
    if any(map(places_offer, texts)) and not campaign.offer_link:
        raise TextInvalid(field="campaign.text", merge_field="offer_link", rule="needs offerLink: true")


async def _take_text(store: CampaignStore, campaign: pb.Campaign) -> None:
    """Refuses `TemplateNotFound`."""
    if campaign.template_id:
        template = await store.template(campaign.template_id)
        campaign.text, campaign.template_version = template.text, template.version
