"""Which batches go out next, in a transaction that nobody else sees."""

from sqlalchemy import text

from services.campaigns.store import CampaignStore
from tests.conftest import TestMesh

CAMPAIGNS = """
    INSERT INTO campaigns (merchant_id, name, text, audience, state, news_time)
    SELECT CAST(:merchant_id AS uuid), :name, '', '{}', 'SENDING', now() - make_interval(secs => :silent_seconds)
    FROM generate_series(1, :count) RETURNING id
"""
BATCHES = """
    INSERT INTO batches (merchant_id, campaign_id, number, payload, recipient_count, credits, state)
    SELECT CAST(:merchant_id AS uuid), c, n, '', 1, 1, CASE WHEN n <= :out THEN 'PUBLISHED' ELSE 'READY' END
    FROM unnest(CAST(:ids AS uuid[])) c, generate_series(1, 6) n
"""


async def test_campaigns_that_stand_still_hold_up_no_other(mesh: TestMesh, merchant_id: str) -> None:
    """However many have all that they may have with the senders, and however long nothing was heard of them."""
    await mesh.service("campaigns")
    async with mesh.app("campaigns").database.pipeline.connect() as connection:
        store = CampaignStore(connection, "")

        async def sending(name: str, count: int, silent_seconds: float, out: int) -> list[str]:
            values = {"merchant_id": merchant_id, "name": name, "count": count, "silent_seconds": silent_seconds}
            ids = [str(id) for id in (await connection.execute(text(CAMPAIGNS), values)).scalars()]
            await connection.execute(text(BATCHES), {"merchant_id": merchant_id, "ids": ids, "out": out})
            return ids

        await sending("full", 120, 1e6, out=4)
        half, fresh = await sending("half full", 1, 10, out=3), await sending("fresh", 1, 0, out=0)
        due = await store.dispatch(ahead=4, limit=1000)
        found = [str(batch.campaign_id) for batch in due if str(batch.campaign_id) in half + fresh]
        assert sorted(found) == sorted(half + fresh * 4)
        await connection.rollback()
