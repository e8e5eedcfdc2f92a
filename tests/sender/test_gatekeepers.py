"""Who has a say right before a text goes out: without their answer nothing does."""

import asyncio

from sqlalchemy import text

from services.sender.store import SenderStore
from tests.conftest import TestMesh
from tests.sender import road
from tests.sender.road import Shop

REFUSED, TAKEN = {"ok": 0, "tooMany": 1}, {"ok": 1, "tooMany": 0}


async def test_without_an_answer_of_contacts_nothing_leaves_and_no_try_is_lost(mesh: TestMesh) -> None:
    # Time enough to stop contacts between two tries.
    async with road.provider(mesh, {"outcomes": REFUSED}, tries_max=3, retry_seconds=2) as mitto:
        shop = await Shop.opened(mesh, 2)
        campaign_id = await shop.send()
        async with asyncio.timeout(20):
            while not mitto.summary()["requests"]:
                await asyncio.sleep(0.01)
        await mesh.stop("contacts")
        before = mitto.summary()["requests"]
        mitto.change_behaviour({"outcomes": TAKEN})
        # As long as several attempts take.
        await asyncio.sleep(5)
        assert mitto.summary()["requests"] <= before + 1
        assert mitto.summary()["accepted"] == 0
        await mesh.service("contacts")
        report = await shop.report(campaign_id, lambda report: report.counts.queued == 0)
        assert report.counts.accepted + report.counts.delivered == 2
        async with SenderStore.open_pipeline(mesh.app("sender").database) as store:
            query = text("SELECT state, count(*) AS found FROM attempts WHERE campaign_id = :id GROUP BY state")
            rows = await store.connection.execute(query, {"id": campaign_id})
            attempts = {row.state: row.found for row in rows}
        # What stands was a call; of the attempts in between nothing is left.
        requests = mitto.summary()["requests"]
        assert attempts == {"NOT_SENT": requests - 1, "ACCEPTED": 1}
