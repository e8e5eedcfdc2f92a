"""Quiet hours are those of the recipient, and what falls into them is put off and never dropped."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from astronote.accounts.v1 import accounts_pb2 as accounts
from astronote.accounts.v1.accounts_pb2_grpc import MerchantsServiceStub
from astronote.campaigns.v1 import campaigns_pb2 as pb
from astronote.campaigns.v1.campaigns_pb2_grpc import BatchesServiceStub
from astronote.sender.v1.batches_pb2 import SendBatch
from services.campaigns import quiet
from services.campaigns.store import CampaignStore
from tests.campaigns.shop import Shop, paid

ATHENS, TOKYO = ZoneInfo("Europe/Athens"), ZoneInfo("Asia/Tokyo")
clocks = st.integers(0, 1439).map(lambda minute: f"{minute // 60:02}:{minute % 60:02}")
zones = st.sampled_from(["Europe/Athens", "Asia/Tokyo", "America/New_York", "Pacific/Apia", "Asia/Kathmandu"])


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("start", "end", "now", "expected"),
    [
        ("22:00", "09:00", "2026-11-22T20:30:00", "2026-11-23T07:00:00"),
        ("22:00", "09:00", "2026-11-23T06:59:59", "2026-11-23T07:00:00"),
        ("22:00", "09:00", "2026-11-23T07:00:00", None),
        ("22:00", "09:00", "2026-11-22T19:59:59", None),
        ("14:00", "17:00", "2026-11-22T12:00:00", "2026-11-22T15:00:00"),
        ("14:00", "17:00", "2026-11-22T15:00:00", None),
        ("", "", "2026-11-22T00:00:00", None),
        # On 29 March 2026 the clocks go from 03:00 to 04:00, on 25 October from 04:00 back to 03:00.
        ("22:00", "03:30", "2026-03-29T00:30:00", "2026-03-29T01:00:00"),
        ("22:00", "03:30", "2026-10-25T00:10:00", "2026-10-25T00:30:00"),
        ("22:00", "03:30", "2026-10-25T01:10:00", "2026-10-25T01:30:00"),
    ],
)
def test_quiet_hours_end_by_the_clock_of_the_recipient(start: str, end: str, now: str, expected: str | None) -> None:
    assert quiet.until(start, end, ATHENS, instant(now)) == (instant(expected) if expected else None)


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(start=clocks, end=clocks, zone=zones, seconds=st.integers(1_577_836_800, 2_051_222_400))
def test_quiet_hours_end_within_a_day_and_outside_of_themselves(start: str, end: str, zone: str, seconds: int) -> None:
    if start == end:
        return
    now, place = datetime.fromtimestamp(seconds, UTC), ZoneInfo(zone)
    until = quiet.until(start, end, place, now)
    if until is not None:
        assert now < until <= now + timedelta(hours=26)
        # In autumn the clocks may fall back into them once more.
        again = quiet.until(start, end, place, until)
        assert again is None or again <= until + timedelta(hours=2)


async def set_quiet_hours(shop: Shop, zone: ZoneInfo) -> None:
    """Half an hour round the time that it is there now."""
    local = datetime.now(zone)
    start, end = (f"{local + timedelta(minutes=minutes):%H:%M}" for minutes in (-15, 15))
    hours = accounts.QuietHours(start=start, end=end)
    request = accounts.UpdateMerchantRequest(
        merchant=accounts.Merchant(quiet_hours=hours), update_mask=FieldMask(paths=["quiet_hours"])
    )
    await shop.call(MerchantsServiceStub, "UpdateMerchant", request, "accounts")


async def batches(shop: Shop, campaign_id: str) -> dict[str, tuple[int, str, datetime | None]]:
    """By the phone of their one recipient."""
    query = text("SELECT id, state, due_time, payload FROM batches WHERE campaign_id = :id")
    async with CampaignStore.open_pipeline(shop.mesh.app("campaigns").database) as store:
        rows = (await store.connection.execute(query, {"id": campaign_id})).all()
    return {SendBatch.FromString(row.payload).recipients[0].phone: (row.id, row.state, row.due_time) for row in rows}


async def claimed(shop: Shop, batch_id: int) -> str:
    peer = await shop.mesh.service("campaigns", caller="sender")
    answer = await BatchesServiceStub(peer.channel).ClaimBatch(
        pb.ClaimBatchRequest(batch_id=batch_id), metadata=peer.metadata(shop.merchant_id), timeout=20
    )
    return pb.ClaimBatchResponse.Verdict.Name(answer.verdict)


async def test_who_sleeps_is_texted_later_than_who_does_not(rich_shop: Shop) -> None:
    await set_quiet_hours(rich_shop, TOKYO)
    awake, asleep = "+306911111111", "+306922222222"
    await rich_shop.contact(awake)
    await rich_shop.contact(asleep, time_zone="Asia/Tokyo")
    campaign = await rich_shop.campaign(text="Hi")
    await rich_shop.do("SendCampaign", campaign.id)
    await paid(rich_shop, campaign.id)
    found = await batches(rich_shop, campaign.id)
    assert await claimed(rich_shop, found[awake][0]) == "GO"
    assert await claimed(rich_shop, found[asleep][0]) == "WAIT"
    _, state, due_time = (await batches(rich_shop, campaign.id))[asleep]
    assert state == "READY"
    assert due_time is not None
    assert timedelta() < due_time - datetime.now(UTC) <= timedelta(minutes=15)
    await rich_shop.do("CancelCampaign", campaign.id)


async def test_a_campaign_may_go_out_in_quiet_hours(rich_shop: Shop) -> None:
    await set_quiet_hours(rich_shop, ATHENS)
    await rich_shop.contact("+306911111111")
    for rule, verdict in ((pb.Campaign.MERCHANT, "WAIT"), (pb.Campaign.NONE, "GO")):
        campaign = await rich_shop.campaign(text="Hi", quiet_hours=rule)
        await rich_shop.do("SendCampaign", campaign.id)
        await paid(rich_shop, campaign.id)
        ((batch_id, _, _),) = (await batches(rich_shop, campaign.id)).values()
        assert await claimed(rich_shop, batch_id) == verdict
        await rich_shop.do("CancelCampaign", campaign.id)
