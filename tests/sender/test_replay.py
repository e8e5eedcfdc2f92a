"""What was posted can be applied again; unreadable reports are kept; storage is bounded."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import grpc
import pytest
from sqlalchemy import text

from astronote.sender.v1 import sender_pb2 as pb
from astronote.sender.v1.sender_pb2_grpc import ReportsServiceStub
from kit.store import Database
from services.sender import audit, reports
from services.sender.audit import Recount, WebhookRetention
from services.sender.delivery import DLR, Applier
from services.sender.outcomes import Accepted, Unknown
from services.sender.replay import Replayer
from services.sender.store import SenderStore
from tests.conftest import TestMesh
from tests.sender import books, road
from tests.sender.books import Books

STATE = pb.Message.State


@pytest.fixture(scope="module")
async def database(mesh: TestMesh) -> AsyncIterator[Database]:
    """No sender runs here: what is posted waits."""
    if "sender" in mesh.running():
        await mesh.stop("sender")
    database = books.database(mesh)
    yield database
    await database.close()


async def sent(database: Database, count: int) -> tuple[Books, list[str], list[int]]:
    """A batch, half of it accepted and half unknown: the shop, the provider's ids, ours."""
    async with SenderStore.open_pipeline(database) as store:
        shop = Books(store)
        batch = shop.batch(2 * count)
        ids = [f"{shop.merchant_id}-{index}" for index in range(2 * count)]
        await shop.record(batch, await shop.attempt(batch, 0, count), Accepted(ids[:count]))
        await shop.record(batch, await shop.attempt(batch, count, count), Unknown("no answer"))
    return shop, ids, [batch.first_message_id + index for index in range(2 * count)]


async def posted(database: Database, *bodies: bytes) -> tuple[datetime, datetime]:
    """Bodies as they were stored once, and the range of time in which that was."""
    async with SenderStore.open_pipeline(database) as store:
        start = await store.connection.scalar(text("SELECT clock_timestamp()"))
    for body in bodies:
        async with SenderStore.open_pipeline(database) as store:
            await store.keep_webhooks(DLR, [body])
            await store.connection.execute(text("UPDATE webhooks SET apply_time = now() WHERE apply_time IS NULL"))
    return start, start + timedelta(minutes=1)


def changes(answer: pb.ReplayWebhooksResponse) -> dict[tuple[str, str], int]:
    found = Counter[tuple[str, str]]()
    for each in answer.changes:
        found[STATE.Name(each.from_state), STATE.Name(each.to_state)] += each.count
    return dict(found)


async def test_a_replay_says_what_it_changed_and_changes_nothing_the_second_time(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop, ids, message_ids = await sent(database, 3)
    items = [
        f'{{"messageId": "{ids[0]}", "deliveryStatus": "Delivered"}}',
        f'{{"messageId": "{ids[1]}", "deliveryStatus": "Failure"}}',
        f'{{"messageId": "{ids[1]}", "deliveryStatus": "Delivered"}}',
        f'{{"messageId": "{ids[2]}", "deliveryStatus": "Failure"}}',
        f'{{"messageId": "{ids[3]}", "deliveryStatus": "Delivered", "reference": "{message_ids[3]}"}}',
        f'{{"messageId": "{ids[4]}", "deliveryStatus": "Landed", "reference": "{message_ids[4]}"}}',
        f'{{"messageId": "{ids[5]}", "deliveryStatus": "Delivered"}}',
    ]
    start, end = await posted(database, *(f"[{item}]".encode() for item in items))
    replayer = Replayer(database, Applier(database, 3600, 60), bodies_max=3)
    total = pb.ReplayWebhooksResponse()
    calls, token = 0, ""
    while calls == 0 or token:
        answer = await replayer.replay(start, end, token)
        calls, token = calls + 1, answer.next_page_token
        total.MergeFrom(answer)
        assert answer.bodies <= 3
    assert calls == 3
    answers = [await Replayer(database, Applier(database, 3600, 60)).replay(start, end, "") for _ in range(2)]
    for again in answers:
        assert (again.bodies, again.reports, again.quarantined, again.parked) == (7, 7, 1, 1)
        assert not again.changes
    expected = {("ACCEPTED", "DELIVERED"): 2, ("ACCEPTED", "FAILED"): 1, ("UNKNOWN", "DELIVERED"): 1}
    assert changes(total) == expected
    async with SenderStore.open_pipeline(database) as store:
        kept = (await store.connection.execute(text("SELECT reason, item FROM quarantined_reports"))).all()
        assert [(row.reason, ids[4] in row.item) for row in kept] == [("unknown status", True)]
    # By now we know what Landed means: the replay brings it home, and it leaves quarantine.
    monkeypatch.setitem(reports.STATES, "landed", "DELIVERED")
    healed = await Replayer(database, Applier(database, 3600, 60)).replay(start, end, "")
    assert changes(healed) == {("UNKNOWN", "DELIVERED"): 1}
    assert healed.quarantined == 0
    async with SenderStore.open_pipeline(database) as store:
        assert await store.connection.scalar(text("SELECT count(*) FROM quarantined_reports")) == 0
        shop.store = store
        await shop.check()
        await store.connection.execute(text("DELETE FROM settlements WHERE hold_id = :id"), {"id": shop.campaign_id})
        await store.connection.execute(text("DELETE FROM parked_reports"))


async def test_a_round_reads_no_more_than_it_can_hold(database: Database) -> None:
    padding = "x" * 900_000
    bodies = [f'[{{"messageId": "large{number}", "deliveryStatus": "?{padding}"}}]'.encode() for number in range(3)]
    async with SenderStore.open_pipeline(database) as store:
        for body in [*bodies, b"[{}]", b"[{}]"]:
            await store.keep_webhooks(DLR, [body])
    applier, waiting = Applier(database, 3600, 60), text("SELECT count(*) FROM webhooks WHERE apply_time IS NULL")
    left, is_more = [], True
    while is_more:
        is_more = await applier.step()
        async with SenderStore.open_pipeline(database) as store:
            left.append(await store.connection.scalar(waiting))
    assert left == [4, 3, 0]
    async with SenderStore.open_pipeline(database) as store:
        await store.connection.execute(text("DELETE FROM quarantined_reports"))
        await store.connection.execute(text("DELETE FROM webhooks"))


async def test_an_operator_sees_what_could_not_be_read(database: Database, mesh: TestMesh) -> None:
    items = ", ".join(f'{{"messageId": "m{number}", "deliveryStatus": "Αλλο{number}"}}' for number in range(3))
    start, end = await posted(database, f"[{items}, 7]".encode(), b'{"deliveryStatus": "Delivered"}')
    await Replayer(database, Applier(database, 3600, 60)).replay(start, end, "")
    async with mesh.with_settings("sender"):
        peer = await mesh.service("sender")
        request, found = pb.ListQuarantinedReportsRequest(page_size=2), list[pb.QuarantinedReport]()
        stub = ReportsServiceStub(peer.channel)
        while not found or request.page_token:
            page = await stub.ListQuarantinedReports(request, metadata=peer.metadata(role="operator"), timeout=20)
            found += page.reports
            request.page_token = page.next_page_token
        reasons = [(report.position, report.reason) for report in found]
        unknown = [(number, "unknown status") for number in (2, 1, 0)]
        assert reasons == [(0, "no message id"), (3, "no object"), *unknown]
        assert "Αλλο2" in found[2].item
        request.page_token = "MQ"
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.ListQuarantinedReports(request, metadata=peer.metadata(role="operator"), timeout=20)
        assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    async with SenderStore.open_pipeline(database) as store:
        await store.connection.execute(text("DELETE FROM quarantined_reports"))


async def test_a_replay_is_the_operators_and_its_range_must_be_one(mesh: TestMesh) -> None:
    now = datetime.now(UTC)
    async with mesh.with_settings("sender"):
        answer = await road.replay(mesh, start_time=now, end_time=now + timedelta(seconds=1))
        assert (answer.bodies, answer.next_page_token) == (0, "")
        for fields in ({"end_time": now}, {"end_time": now + timedelta(seconds=1), "page_token": "?"}):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await road.replay(mesh, start_time=now, **fields)
            assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_a_replay_beside_the_appliers_counts_nothing_twice(database: Database) -> None:
    shop, ids, message_ids = await sent(database, 20)
    items = [
        f'{{"messageId": "{id}", "deliveryStatus": "{status}", "reference": "{number}"}}'
        for id, number in zip(ids, message_ids, strict=True)
        for status in ("Failure", "Delivered")
    ]
    start, end = await posted(database, *(f"[{item}]".encode() for item in items))
    async with SenderStore.open_pipeline(database) as store:
        await store.connection.execute(
            text("UPDATE webhooks SET apply_time = NULL WHERE create_time >= :s"), {"s": start}
        )
    applier = Applier(database, 3600, 60)

    async def drain() -> None:
        while await applier.step():
            pass

    async with asyncio.TaskGroup() as group:
        for _ in range(2):
            group.create_task(drain())
            group.create_task(Replayer(database, applier).replay(start, end, ""))
    async with SenderStore.open_pipeline(database) as store:
        shop.store = store
        assert (await shop.tally()).delivered == 40
        await shop.check()
        await store.connection.execute(text("DELETE FROM settlements WHERE hold_id = :id"), {"id": shop.campaign_id})


async def test_the_recount_goes_through_all_merchants_and_reads_zero(database: Database) -> None:
    for _ in range(3):
        shop, _, _ = await sent(database, 2)
    recount = Recount(database)
    steps = 0
    while await recount.step():
        steps += 1
    assert steps >= 3
    assert audit.DISCREPANCIES._value.get() == 0
    drift = text("UPDATE tallies SET accepted = accepted + :by WHERE campaign_id = :id")
    for by, discrepancies in ((1, 1), (-1, 0)):
        async with SenderStore.open_pipeline(database) as store:
            await store.connection.execute(drift, {"by": by, "id": shop.campaign_id})
        while await recount.step():
            pass
        assert audit.DISCREPANCIES._value.get() == discrepancies
    async with SenderStore.open_pipeline(database) as store:
        await store.connection.execute(text("DELETE FROM settlements"))


async def test_what_was_applied_is_deleted_when_it_is_old_and_nothing_else(database: Database) -> None:
    await posted(database, b'[{"messageId": "old", "deliveryStatus": "?"}]', b'[{"messageId": "new"}]', b"[{}]")
    rows = (
        ("old", "interval '31 days'", "now()"),
        ("new", "interval '29 days'", "now()"),
        ("[{}]", "interval '31 days'", "NULL"),
    )
    async with SenderStore.open_pipeline(database) as store:
        for mark, age, applied in rows:
            found = f"UPDATE webhooks SET create_time = now() - {age}, apply_time = {applied} WHERE body LIKE :mark"
            await store.connection.execute(text(found), {"mark": f"%{mark}%".encode()})
    assert not await WebhookRetention(database, 30 * 86400).step()
    async with SenderStore.open_pipeline(database) as store:
        old = text("SELECT body FROM webhooks WHERE create_time < now() - interval '28 days' ORDER BY create_time")
        assert list((await store.connection.execute(old)).scalars()) == [b"[{}]", b'[{"messageId": "new"}]']
        await store.connection.execute(text("DELETE FROM webhooks"))
