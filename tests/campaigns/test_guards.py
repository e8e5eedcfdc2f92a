"""What keeps a campaign from going out too fast, too late, or on and on when it goes wrong."""

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import text

from astronote.campaigns.v1.campaigns_pb2 import Campaign, ClaimBatchResponse
from services.campaigns.claims import decide
from services.campaigns.store import CampaignStore
from tests.campaigns.shop import Shop, refusal, sending
from tests.campaigns.test_queues import BATCHES, undone
from tests.conftest import TestMesh

CAMPAIGN = """
    INSERT INTO campaigns (merchant_id, name, text, audience, state, targeted, credits_held, throttle_per_hour, offer,
                           tally)
    VALUES (CAST(:merchant_id AS uuid), 'Guarded', '', '{}', 'SENDING', 6, 6, :throttle_per_hour, CAST(:offer AS jsonb),
            CAST(:tally AS jsonb))
    RETURNING id
"""
PASS_TIME = "UPDATE campaigns SET pace_time = pace_time - make_interval(secs => :seconds) WHERE id = :id"
TAKEN = "SELECT id FROM batches WHERE campaign_id = :id AND state = 'TAKEN'"
EXPIRED = '{"expireTime": "2026-01-01T00:00:00Z"}'


async def going(store: CampaignStore, merchant_id: str, out: int = 0, **values: Any) -> str:
    """A campaign of six batches of one text each, `out` of them published."""
    values = {"merchant_id": merchant_id, "throttle_per_hour": 0, "offer": None, "tally": "{}", **values}
    id = str(await store.connection.scalar(text(CAMPAIGN), values))
    await store.connection.execute(text(BATCHES), {"merchant_id": merchant_id, "ids": [id], "out": out})
    return id


async def test_a_throttled_campaign_goes_out_evenly_and_makes_up_for_no_pause(mesh: TestMesh, merchant_id: str) -> None:
    async with undone(mesh) as store:
        id = await going(store, merchant_id, throttle_per_hour=60)

        async def out() -> int:
            return len([batch for batch in await store.dispatch(4, 1000) if str(batch.campaign_id) == id])

        assert [await out(), await out()] == [1, 0]
        for seconds, expected in ((50, [0]), (10, [1, 0]), (3600, [1, 0])):
            await store.connection.execute(text(PASS_TIME), {"id": id, "seconds": seconds})
            assert [await out() for _ in expected] == expected, seconds


async def test_what_stands_behind_an_expired_offer_is_skipped(mesh: TestMesh, merchant_id: str) -> None:
    async with undone(mesh) as store:
        id = await going(store, merchant_id, out=2, offer=EXPIRED)
        fresh = await going(store, merchant_id, offer='{"expireTime": "2199-01-01T00:00:00.5Z"}')
        await store.connection.execute(
            text("UPDATE batches SET state = 'TAKEN' WHERE campaign_id = :id AND number = 1"), {"id": id}
        )
        assert await store.end_offers(1000) >= 1
        row = await store.campaign(id)
        assert (row.state, row.skipped) == (Campaign.SENDING, {"offer_expired": 5})
        assert (await store.campaign(fresh)).skipped == {}
        taken = await store.connection.scalar(text(TAKEN), {"id": id})
        store.merchant_id = merchant_id
        claim = await store.claim_batch(taken, datetime.now(UTC))
        assert (claim.verdict, claim.reason) == (ClaimBatchResponse.STOP, "offer_expired")
        await store.finish_batches(id, [taken])
        assert (await store.campaign(id)).state == Campaign.COMPLETED


@pytest.mark.parametrize(
    ("tally", "failure"),
    [
        ('{"accepted": 60, "failed": 30, "rejected": 10}', "FAILURES_SPIKED"),
        ('{"accepted": 60, "failed": 20, "rejected": 9, "delivered": 11}', ""),
        ('{"accepted": 49, "failed": 50}', ""),
        ('{"delivered": 100, "unknown": 500}', ""),
        ("{}", ""),
    ],
)
async def test_a_campaign_pauses_when_too_much_of_it_fails(
    mesh: TestMesh, merchant_id: str, tally: str, failure: str
) -> None:
    async with undone(mesh) as store:
        id = await going(store, merchant_id, tally=tally)
        paused = {str(row.id): row.failure for row in await store.pause_spiking(100, 0.3, 0.05)}
        assert paused.get(id, "") == failure
        row = await store.campaign(id)
        assert (row.state, row.failure) == (Campaign.PAUSED if failure else Campaign.SENDING, failure)
        if failure:
            # Whoever resumes it has seen why.
            await store.resume(row)
            assert id not in [str(row.id) for row in await store.pause_spiking(100, 0.3, 0.05)]


async def test_a_campaign_pauses_when_too_many_leave(mesh: TestMesh, merchant_id: str) -> None:
    count = """
        INSERT INTO response_counts (campaign_id, shard, merchant_id, unsubscribes)
        SELECT CAST(:id AS uuid), shard, CAST(:merchant_id AS uuid), 1 FROM generate_series(1, :count) shard
    """
    async with undone(mesh) as store:
        leaving, staying = [await going(store, merchant_id, tally='{"delivered": 100}') for _ in range(2)]
        for id, people in ((leaving, 5), (staying, 4)):
            await store.connection.execute(text(count), {"id": id, "merchant_id": merchant_id, "count": people})
        paused = {str(row.id): row.failure for row in await store.pause_spiking(100, 0.3, 0.05)}
        assert (paused.get(leaving), paused.get(staying)) == ("OPT_OUTS_SPIKED", None)


@pytest.mark.parametrize(
    ("campaign", "batch", "is_offer_over", "verdict", "state"),
    [
        (Campaign.SENDING, "PUBLISHED", False, "GO", "TAKEN"),
        (Campaign.SENDING, "TAKEN", False, "GO", "TAKEN"),
        (Campaign.SENDING, "PUBLISHED", True, "WAIT", "READY"),
        (Campaign.SENDING, "TAKEN", True, "STOP", "TAKEN"),
        (Campaign.PAUSED, "PUBLISHED", False, "WAIT", "READY"),
        (Campaign.PAUSED, "TAKEN", False, "WAIT", "TAKEN"),
        (Campaign.PAUSED, "TAKEN", True, "STOP", "TAKEN"),
        (Campaign.CANCELLED, "TAKEN", True, "STOP", "TAKEN"),
        (Campaign.CANCELLED, "CANCELLED", False, "DROP", "CANCELLED"),
        (Campaign.COMPLETED, "DONE", True, "DROP", "DONE"),
    ],
)
def test_what_a_sender_is_told(campaign: int, batch: str, is_offer_over: bool, verdict: str, state: str) -> None:
    claim = decide(campaign, batch, is_offer_over=is_offer_over)
    assert (ClaimBatchResponse.Verdict.Name(claim.verdict), claim.state) == (verdict, state)


async def test_an_offer_that_ends_meanwhile_gives_the_credits_back(rich_shop: Shop) -> None:
    await rich_shop.contact("+306911111111")
    campaign = await rich_shop.campaign(text="Hi", offer={"title": "-20%"}, throttle_per_hour=60)
    await rich_shop.do("SendCampaign", campaign.id)
    await sending(rich_shop, campaign.id)
    async with CampaignStore.open_pipeline(rich_shop.mesh.app("campaigns").database) as store:
        expire = "UPDATE campaigns SET offer = CAST(:offer AS jsonb) WHERE id = :id"
        await store.connection.execute(text(expire), {"offer": EXPIRED, "id": campaign.id})
    report = await rich_shop.ended(campaign.id)
    assert (report.state, dict(report.counts.skipped)) == (Campaign.COMPLETED, {"offer_expired": 1})
    assert report.credits.released == report.credits.held > 0


@pytest.mark.parametrize("throttle", [-1, 59, 10_000_001])
async def test_a_throttle_has_bounds(throttle: int, shop: Shop) -> None:
    assert (await refusal(shop.campaign(throttle_per_hour=throttle)))[0] == "CAMPAIGN_INVALID"
