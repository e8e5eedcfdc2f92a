"""A sender that is told to go ends the submission that is under way, and leaves the rest of its batch to the others."""

import asyncio

from tests.conftest import TestMesh
from tests.sender import road
from tests.sender.road import Shop

RECIPIENTS = 8


async def test_a_sender_that_goes_hands_back_what_it_has_not_begun(mesh: TestMesh) -> None:
    async with road.provider(mesh, {"latencyMs": 200}, chunk_size=1) as mitto:
        shop = await Shop.opened(mesh, RECIPIENTS)
        campaign_id = await shop.send()
        async with asyncio.timeout(20):
            while not mitto.summary()["requests"]:
                await asyncio.sleep(0.01)
        await mesh.stop("sender")
        went = mitto.summary()["accepted"]
        await mesh.start("sender", road.FAST | {"mitto_api_base": mitto.url})
        assert 0 < went < RECIPIENTS
        report = await shop.report(campaign_id, lambda report: report.counts.queued == 0)
        # What was under way was recorded: nothing is unknown, and the other sender submitted the rest at once.
        assert report.counts.accepted == mitto.summary()["accepted"] == RECIPIENTS
        assert mitto.summary()["doubled"] == 0
