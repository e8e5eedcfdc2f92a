"""After the database went back to a point in time nothing is sent that may have been sent already."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from astronote.campaigns.v1.automations_pb2 import Automation, Trigger
from astronote.campaigns.v1.campaigns_pb2 import Campaign
from services.campaigns.servicers.restoring import miss_starts
from services.campaigns.store import CampaignStore
from services.campaigns.store.enrolments import Happening
from tests.campaigns.shop import Shop, sending, undone
from tests.campaigns.test_automations import own, person
from tests.campaigns.test_scheduling import schedule, tomorrow


@pytest.fixture
async def store(rich_shop: Shop) -> AsyncIterator[CampaignStore]:
    """As if it had never been: others' campaigns are ended by it as well."""
    async with undone(rich_shop.mesh) as store:
        yield store


async def one(store: CampaignStore, query: str, **values: Any) -> Any:
    return (await store.connection.execute(text(query), values)).one()


async def test_what_goes_on_is_cancelled_and_what_was_begun_ends_with_its_sender(rich_shop: Shop) -> None:
    await rich_shop.contact("+306911111111")
    campaign = await rich_shop.campaign()
    await rich_shop.do("SendCampaign", campaign.id)
    await sending(rich_shop, campaign.id)
    async with undone(rich_shop.mesh) as store:
        begun = "UPDATE batches SET state = 'TAKEN', publish_time = now() WHERE campaign_id = :id RETURNING id"
        batch = (await one(store, begun, id=campaign.id)).id
        assert await store.cancel_going(500) > 0
        assert await store.cancel_going(500) == 0
        row = await store.campaign(campaign.id)
        assert (row.state, row.failure, row.skipped) == (Campaign.CANCELLED, "RESTORED", {})
        # Published again at once: who has it is told to stop, and its books close.
        assert batch in [each.id for each in await store.stale(3600, 500)]


async def test_starts_whose_time_has_come_are_missed(rich_shop: Shop) -> None:
    once, often, later = [await rich_shop.campaign() for _ in range(3)]
    await schedule(rich_shop, once.id, tomorrow())
    await schedule(rich_shop, often.id, tomorrow(rrule="FREQ=DAILY"))
    await schedule(rich_shop, later.id, tomorrow())
    past = "UPDATE campaigns SET due_time = now() - interval '1 minute', occurrence_time = now() - interval '1 minute'"
    async with undone(rich_shop.mesh) as store:
        await store.connection.execute(
            text(f"{past} WHERE id IN (:once, :often)"), {"once": once.id, "often": often.id}
        )
        assert await miss_starts(store) == 2
        rows = [await store.campaign(each.id) for each in (once, often, later)]
        assert [row.state for row in rows] == [Campaign.DRAFT, Campaign.SCHEDULED, Campaign.SCHEDULED]
        assert rows[0].missed_time
        assert rows[1].missed_time
        assert rows[1].due_time > datetime.now(UTC)
        assert rows[2].missed_time is None


async def test_texts_and_days_of_automations_that_are_due_are_passed_over(rich_shop: Shop) -> None:
    always = await own(rich_shop, Trigger.OFFER_REDEEMED, {}, repeat=Automation.ALWAYS, delay_minutes=1)
    ids = [await person(rich_shop, phone) for phone in ("+306911111111", "+306922222222")]
    mine = "WHERE merchant_id = :merchant_id"
    async with undone(rich_shop.mesh) as store:
        values = {"merchant_id": rich_shop.merchant_id}
        await store.enrol(Trigger.OFFER_REDEEMED, [Happening(rich_shop.merchant_id, "", ids, "key")])
        due = f"UPDATE enrolments SET due_time = 'epoch' {mine} AND contact_id = :id"
        await store.connection.execute(text(due), values | {"id": ids[0]})
        ran = f"UPDATE automations SET run_time = now() - interval '30 hours' {mine} AND id = :id RETURNING run_time"
        before = (await one(store, ran, **values, id=always.id)).run_time
        assert await store.skip_enrolments(50_000) > 0
        assert await store.skip_days() > 0
        found = f"SELECT state, skip_reason FROM enrolments {mine} ORDER BY due_time"
        states = [tuple(row) for row in await store.connection.execute(text(found), values)]
        assert states == [("SKIPPED", "restored"), ("WAITING", "")]
        run = f"SELECT run_time, now() AS now FROM automations {mine} AND id = :id"
        after = await one(store, run, **values, id=always.id)
        # At the same time of the day, the next that lies ahead.
        assert after.run_time - before == timedelta(days=2)
        assert after.run_time > after.now


async def test_ids_that_may_have_been_given_are_given_to_none(store: CampaignStore) -> None:
    following = "SELECT nextval(pg_get_serial_sequence('batches', 'id')) AS id"
    before = (await one(store, following)).id
    await store.leave_out_ids(1000)
    assert (await one(store, following)).id > before + 1000
