"""Which batches go out next and which books are closed next, in a transaction that nobody else sees."""

from sqlalchemy import text

from astronote.sender.v1.events_pb2 import CampaignTally
from tests.campaigns.shop import undone
from tests.conftest import TestMesh

ENDED = """
    INSERT INTO campaigns (merchant_id, name, text, audience, state, targeted)
    SELECT CAST(:merchant_id AS uuid), 'Ended', '', '{}', 'COMPLETED', :targeted
    FROM generate_series(1, :count) RETURNING id
"""
PASS_TIME = "UPDATE campaigns SET close_time = close_time - interval '10 seconds' WHERE merchant_id = :merchant_id"
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
DUE = """
    UPDATE batches SET due_time = now() + make_interval(secs => :seconds)
    WHERE campaign_id = ANY(CAST(:ids AS uuid[])) AND number >= :first
"""


async def test_campaigns_that_stand_still_hold_up_no_other(mesh: TestMesh, merchant_id: str) -> None:
    """However many have all that they may have with the senders, and however long nothing was heard of them."""
    async with undone(mesh) as store:

        async def sending(name: str, count: int, silent_seconds: float, out: int) -> list[str]:
            values = {"merchant_id": merchant_id, "name": name, "count": count, "silent_seconds": silent_seconds}
            ids = [str(id) for id in (await store.connection.execute(text(CAMPAIGNS), values)).scalars()]
            await store.connection.execute(text(BATCHES), {"merchant_id": merchant_id, "ids": ids, "out": out})
            return ids

        await sending("full", 120, 1e6, out=4)
        later = await sending("not due", 120, 1e6, out=0)
        await store.connection.execute(text(DUE), {"ids": later, "first": 1, "seconds": 60})
        half, fresh = await sending("half full", 1, 10, out=3), await sending("fresh", 1, 0, out=0)
        # What is due goes out beside what is not, whatever stands first.
        await store.connection.execute(text(DUE), {"ids": fresh, "first": 1, "seconds": 60})
        await store.connection.execute(text(DUE), {"ids": fresh, "first": 3, "seconds": -60})
        due = await store.dispatch(ahead=4, limit=1000)
        mine = half + fresh + later
        found = [str(batch.campaign_id) for batch in due if str(batch.campaign_id) in mine]
        assert sorted(found) == sorted(half + fresh * 4)


async def test_campaigns_that_wait_for_reports_stand_before_none_that_can_be_closed(
    mesh: TestMesh, merchant_id: str
) -> None:
    async with undone(mesh) as store:
        mine = {"merchant_id": merchant_id}

        async def ended(count: int, targeted: int) -> list[str]:
            values = mine | {"count": count, "targeted": targeted}
            return [str(id) for id in (await store.connection.execute(text(ENDED), values)).scalars()]

        async def closable() -> list[str]:
            return [str(row.id) for row in await store.closable(20, 1, 60) if str(row.merchant_id) == merchant_id]

        waiting = await ended(30, targeted=1)
        for _ in range(10):
            assert not set(await closable()) & set(waiting)
        await store.connection.execute(text(PASS_TIME), mine)
        (done,) = await ended(1, targeted=0)
        assert await closable() == [done]
        # What a new tally settles is seen at once, and what the wallet was not ready for a second later.
        tally = CampaignTally(campaign_id=waiting[7], merchant_id=merchant_id, version=1, delivered=1)
        await store.apply_tally(tally)
        assert await closable() == [waiting[7]]
        assert await closable() == []
        await store.connection.execute(text(PASS_TIME), mine)
        assert sorted(await closable()) == sorted([done, waiting[7]])
