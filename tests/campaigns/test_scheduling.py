"""Campaigns that start by themselves: once, whoever looks, and never late."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import text

from astronote.campaigns.v1 import campaigns_pb2 as pb
from astronote.campaigns.v1.campaigns_pb2_grpc import CampaignsServiceStub
from astronote.campaigns.v1.schedules_pb2 import Schedule, ScheduleCampaignRequest, UnscheduleCampaignRequest
from astronote.sender.v1.batches_pb2 import SendBatch
from services.campaigns import scheduling
from services.campaigns.scheduling import Scheduler
from services.campaigns.store import CampaignStore
from services.campaigns.wiring import parts
from tests.campaigns.shop import Shop, refusal, registered, sending
from tests.conftest import TestMesh


def ahead(**time: float) -> Schedule:
    schedule = Schedule()
    schedule.send_time.FromDatetime(datetime.now(UTC) + timedelta(**time))
    return schedule


def tomorrow(hour: int = 10, **fields: Any) -> Schedule:
    day = (datetime.now(UTC) + timedelta(days=1)).date()
    return Schedule(local_time=f"{day}T{hour:02d}:00", **fields)


async def schedule(shop: Shop, id: str, schedule: Schedule | None = None, request_id: str = "") -> pb.Campaign:
    request = ScheduleCampaignRequest(id=id, schedule=schedule, request_id=request_id)
    return await shop.call(CampaignsServiceStub, "ScheduleCampaign", request)


async def unschedule(shop: Shop, id: str) -> pb.Campaign:
    return await shop.call(CampaignsServiceStub, "UnscheduleCampaign", UnscheduleCampaignRequest(id=id))


async def time_passes(shop: Shop, id: str, **time: float) -> None:
    """As if the campaign had been due so long ago."""
    moved = """
        UPDATE campaigns SET due_time = now() - CAST(:ago AS interval) + (due_time - occurrence_time),
               occurrence_time = now() - CAST(:ago AS interval) WHERE id = :id
    """
    async with CampaignStore.open_pipeline(shop.mesh.app("campaigns").database) as store:
        await store.connection.execute(text(moved), {"id": id, "ago": timedelta(**time)})


async def moved_on(shop: Shop, id: str, state: pb.Campaign.State.ValueType) -> pb.Campaign:
    async with asyncio.timeout(20):
        while (campaign := await shop.do("GetCampaign", id)).state == state:
            await asyncio.sleep(0.05)
    return campaign


async def occurrences(shop: Shop, id: str) -> list[pb.Campaign]:
    page = await shop.call(CampaignsServiceStub, "ListCampaigns", pb.ListCampaignsRequest(parent_id=id))
    return list(page.campaigns)


async def test_a_campaign_starts_when_it_is_due(rich_shop: Shop) -> None:
    await rich_shop.contact("+306911111111")
    campaign = await rich_shop.campaign()
    at = ahead(seconds=0.5)
    scheduled = await schedule(rich_shop, campaign.id, at, request_id="once")
    assert (scheduled.state, scheduled.due_time) == (pb.Campaign.SCHEDULED, at.send_time)
    assert (await schedule(rich_shop, campaign.id, at, request_id="once")).state == pb.Campaign.SCHEDULED
    batch = await sending(rich_shop, campaign.id)
    assert [each.phone for each in batch.recipients] == ["+306911111111"]
    started = await rich_shop.do("GetCampaign", campaign.id)
    assert started.start_time.ToDatetime() >= at.send_time.ToDatetime()


async def test_a_local_time_is_the_merchants(shop: Shop) -> None:
    campaign = await shop.campaign(schedule=tomorrow(12))
    scheduled = await schedule(shop, campaign.id)
    assert scheduled.schedule.time_zone == "Europe/Athens"
    assert scheduled.due_time.ToDatetime().strftime("%H:%M") in ("09:00", "10:00")
    assert (await schedule_in(shop, "Asia/Tokyo")).due_time.ToDatetime().strftime("%H:%M") == "03:00"


async def schedule_in(shop: Shop, time_zone: str) -> pb.Campaign:
    return await schedule(shop, (await shop.campaign()).id, tomorrow(12, time_zone=time_zone))


async def test_a_scheduled_campaign_stands_still_until_it_is_a_draft_again(shop: Shop) -> None:
    campaign = await shop.campaign()
    await schedule(shop, campaign.id, tomorrow())
    for verb in ("SendCampaign", "DeleteCampaign", "CancelCampaign", "PauseCampaign"):
        assert (await refusal(shop.do(verb, campaign.id)))[0] == "WRONG_STATE"
    assert (await refusal(schedule(shop, campaign.id, tomorrow())))[0] == "WRONG_STATE"
    draft = await unschedule(shop, campaign.id)
    assert (draft.state, draft.HasField("due_time")) == (pb.Campaign.DRAFT, False)
    assert (await refusal(unschedule(shop, campaign.id)))[0] == "WRONG_STATE"
    await shop.do("DeleteCampaign", campaign.id)


@pytest.mark.parametrize(
    ("chosen", "reason", "field"),
    [
        (None, "SCHEDULE_INVALID", "schedule"),
        (Schedule(), "SCHEDULE_INVALID", "schedule"),
        (ahead(days=-1), "SCHEDULE_INVALID", "schedule"),
        (ahead(days=400), "SCHEDULE_INVALID", "schedule"),
        (tomorrow(time_zone="Athens"), "SCHEDULE_INVALID", "schedule.time_zone"),
        (tomorrow(rrule="FREQ=SECONDLY"), "SCHEDULE_INVALID", "schedule.rrule"),
        (tomorrow(rrule="FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=31"), "SCHEDULE_INVALID", "schedule"),
    ],
)
async def test_what_can_never_start_is_refused(shop: Shop, chosen: Schedule | None, reason: str, field: str) -> None:
    campaign = await shop.campaign()
    found, metadata = await refusal(schedule(shop, campaign.id, chosen))
    assert (found, metadata["field"]) == (reason, field)
    assert (await shop.do("GetCampaign", campaign.id)).state == pb.Campaign.DRAFT


async def test_a_draft_may_not_hold_a_schedule_that_is_none(shop: Shop, mesh: TestMesh) -> None:
    reason, metadata = await refusal(shop.campaign(schedule=Schedule(local_time="soon")))
    assert (reason, metadata["field"]) == ("SCHEDULE_INVALID", "campaign.schedule.local_time")
    nameless = await registered(mesh)
    assert (await refusal(schedule(nameless, (await nameless.campaign()).id, tomorrow())))[0] == "SENDER_NAME_MISSING"


async def test_a_start_that_was_missed_is_not_made_up_for(rich_shop: Shop) -> None:
    await rich_shop.contact("+306911111111")
    campaign = await rich_shop.campaign()
    await schedule(rich_shop, campaign.id, tomorrow())
    await time_passes(rich_shop, campaign.id, minutes=61)
    missed = await moved_on(rich_shop, campaign.id, pb.Campaign.SCHEDULED)
    assert (missed.state, missed.HasField("missed_time"), missed.HasField("due_time")) == (1, True, False)
    # A little late is on time, and the flag goes with the next schedule.
    assert not (await schedule(rich_shop, campaign.id, tomorrow())).HasField("missed_time")
    await time_passes(rich_shop, campaign.id, minutes=59)
    await sending(rich_shop, campaign.id)


async def test_a_start_that_is_refused_fails_with_its_reason(rich_shop: Shop) -> None:
    campaign = await rich_shop.campaign()
    await schedule(rich_shop, campaign.id, tomorrow())
    await time_passes(rich_shop, campaign.id, seconds=1)
    failed = await moved_on(rich_shop, campaign.id, pb.Campaign.SCHEDULED)
    assert (failed.state, failed.failure) == (pb.Campaign.FAILED, "NO_RECIPIENTS")
    assert (await rich_shop.ended(campaign.id)).counts.targeted == 0


def scheduler(shop: Shop) -> Scheduler:
    """One more, beside that of the mesh."""
    (step,) = [job.step for job in parts(shop.mesh.app("campaigns")).jobs if job.name == "schedule"]
    found = getattr(step, "__self__", None)
    assert isinstance(found, Scheduler)
    return found


async def test_what_was_found_due_twice_is_started_once_and_what_was_called_off_is_not(
    rich_shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The scheduler of the mesh takes none meanwhile.
    monkeypatch.setattr(scheduling, "ROUND_SIZE", 0)
    await rich_shop.contact("+306911111111")
    found = {}
    for name in ("kept", "called off"):
        campaign = await rich_shop.campaign(text="Hi")
        await schedule(rich_shop, campaign.id, tomorrow())
        await time_passes(rich_shop, campaign.id, seconds=1)
        for _ in range(2):
            async with CampaignStore.open_pipeline(rich_shop.mesh.app("campaigns").database) as store:
                due = await store.take_due(1000, lease_seconds=0)
            found[name] = next(row for row in due if row.id == campaign.id)
    kept, called_off = found.values()
    await scheduler(rich_shop)._begin(kept)
    started = await rich_shop.do("GetCampaign", kept.id)
    await scheduler(rich_shop)._begin(kept)
    assert (await rich_shop.do("GetCampaign", kept.id)).start_time == started.start_time != Timestamp()
    await unschedule(rich_shop, called_off.id)
    await scheduler(rich_shop)._begin(called_off)
    assert (await rich_shop.do("GetCampaign", called_off.id)).state == pb.Campaign.DRAFT


async def recurred(shop: Shop, id: str, rrule: str, minutes_ago: int, weeks: int) -> None:
    """As if the campaign had recurred for so many weeks, and its next occurrence had been due so long ago."""
    due = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=minutes_ago)
    begin = due - timedelta(weeks=weeks)
    chosen = {"localTime": f"{begin:%Y-%m-%dT%H:%M}", "timeZone": "UTC", "rrule": rrule}
    moved = "UPDATE campaigns SET schedule = :schedule, due_time = :due, occurrence_time = :due WHERE id = :id"
    async with CampaignStore.open_pipeline(shop.mesh.app("campaigns").database) as store:
        await store.connection.execute(text(moved), {"id": id, "schedule": json.dumps(chosen), "due": due})


async def test_each_occurrence_is_one_campaign_however_many_schedulers_look(
    rich_shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nothing but the lock of the start and the key of the occurrence holds them apart.
    monkeypatch.setattr(scheduling, "LEASE_SECONDS", 0)
    await rich_shop.contact("+306911111111")
    campaign = await rich_shop.campaign(name="Weekly", on_long_text=pb.Campaign.GSM)
    rule = "FREQ=WEEKLY;COUNT=3"
    await schedule(rich_shop, campaign.id, tomorrow(rrule=rule))
    steps = [scheduler(rich_shop).step for _ in range(5)]
    await recurred(rich_shop, campaign.id, rule, minutes_ago=2, weeks=1)
    await asyncio.gather(*(step() for step in steps))
    (first,) = await occurrences(rich_shop, campaign.id)
    assert (first.name, first.on_long_text, first.schedule.rrule) == ("Weekly", pb.Campaign.GSM, "")
    await sending(rich_shop, first.id)
    still = await rich_shop.do("GetCampaign", campaign.id)
    assert (still.state, still.counts.targeted) == (pb.Campaign.SCHEDULED, 0)
    assert still.due_time.ToDatetime() - first.due_time.ToDatetime() == timedelta(weeks=1)
    # The same occurrence again, as if the clock had been put back.
    await recurred(rich_shop, campaign.id, rule, minutes_ago=2, weeks=1)
    await asyncio.gather(*(step() for step in steps))
    assert [each.id for each in await occurrences(rich_shop, campaign.id)] == [first.id]
    await recurred(rich_shop, campaign.id, rule, minutes_ago=1, weeks=2)
    over = await moved_on(rich_shop, campaign.id, pb.Campaign.SCHEDULED)
    assert over.state == pb.Campaign.COMPLETED
    assert len(await occurrences(rich_shop, campaign.id)) == 2
    assert (await rich_shop.ended(campaign.id)).counts.targeted == 0


async def test_occurrences_that_were_missed_are_left_out_and_the_next_is_not(rich_shop: Shop) -> None:
    campaign = await rich_shop.campaign()
    await schedule(rich_shop, campaign.id, tomorrow(rrule="FREQ=DAILY"))
    await recurred(rich_shop, campaign.id, "FREQ=DAILY", minutes_ago=3 * 1440 + 120, weeks=1)
    async with asyncio.timeout(20):
        while not (found := await rich_shop.do("GetCampaign", campaign.id)).HasField("missed_time"):
            await asyncio.sleep(0.05)
    assert (found.state, found.due_time.ToDatetime() > datetime.now(UTC).replace(tzinfo=None)) == (2, True)
    assert found.due_time.ToDatetime() - found.missed_time.ToDatetime() == timedelta(days=4)
    assert await occurrences(rich_shop, campaign.id) == []


async def test_each_recipients_text_is_due_when_their_own_clock_says_so(rich_shop: Shop) -> None:
    """In one campaign: its audience is frozen once, and its price held once."""
    await rich_shop.contact("+18085551234")
    await rich_shop.contact("+12135551234", time_zone="Etc/GMT+8")
    # There it was hours ago.
    await rich_shop.contact("+306911111111")
    soon = datetime.now(ZoneInfo("Pacific/Honolulu")).replace(second=0, microsecond=0) + timedelta(hours=2)
    at = Schedule(local_time=f"{soon:%Y-%m-%dT%H:%M}", time_zone="Pacific/Honolulu", by_recipient=True)
    campaign = await rich_shop.campaign(text="Hi {{first_name|there}}")
    await schedule(rich_shop, campaign.id, at)
    assert (await moved_on(rich_shop, campaign.id, pb.Campaign.SCHEDULED)).state != pb.Campaign.DRAFT
    waves = await sent_waves(rich_shop, campaign.id, count=2)
    assert waves["+18085551234"] == ("READY", soon)
    # Out, and in a sender's hands where one runs.
    state, due_time = waves["+12135551234"]
    assert (state == "READY", due_time) == (False, soon - timedelta(hours=2))
    report = await rich_shop.do("GetReport", campaign.id)
    assert (dict(report.counts.skipped), report.counts.queued) == ({"start_missed": 1}, 2)
    assert report.credits.held == 2
    # The hour comes.
    async with CampaignStore.open_pipeline(rich_shop.mesh.app("campaigns").database) as store:
        comes = "UPDATE batches SET due_time = now() WHERE campaign_id = :id"
        await store.connection.execute(text(comes), {"id": campaign.id})
    async with asyncio.timeout(20):
        while (await sent_waves(rich_shop, campaign.id, 2))["+18085551234"][0] == "READY":
            await asyncio.sleep(0.05)


async def sent_waves(shop: Shop, id: str, count: int) -> dict[str, tuple[str, datetime]]:
    """The state and due time of the batches, by the first phone in each, once the first of them is out."""
    query = text("SELECT payload, state, due_time FROM batches WHERE campaign_id = :id")
    async with asyncio.timeout(20):
        while True:
            async with CampaignStore.open_pipeline(shop.mesh.app("campaigns").database) as store:
                found = (await store.connection.execute(query, {"id": id})).all()
            states = [row.state for row in found]
            if len(found) == count and set(states) != {"READY"}:
                break
            await asyncio.sleep(0.05)
    return {SendBatch.FromString(row.payload).recipients[0].phone: (row.state, row.due_time) for row in found}
