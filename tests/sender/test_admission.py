"""The breaker and the rate limits as several senders share them."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

import psycopg
import pytest

from astronote.sender.v1 import sender_pb2 as pb
from kit.store import Database
from services.sender import admission
from services.sender.admission import BULK, SINGLE, Admissions, HeldBackError
from services.sender.outcomes import Accepted, NotSent, Unknown
from services.sender.settings import Settings
from services.sender.store import SenderStore
from tests.conftest import KEYS, PUBLIC_KEYS, SETTINGS, TestMesh
from tests.sender.road import Shop, provider
from tests.sender.test_singles import ended, message, send

OK, LOST = Accepted(["a"]), Unknown("?")
KEY_REFUSED = NotSent("our key was refused (401)", 30, counts=False)
Replica = Callable[..., Admissions]


def settings(mesh: TestMesh, **changes: Any) -> Settings:
    urls = mesh.database("sender")
    keys = {"mesh_private_key": KEYS["sender"].private, "mesh_public_keys": PUBLIC_KEYS, "nats_url": ""}
    return Settings(
        database_url=urls.url, pipeline_database_url=urls.pipeline_url, **keys, **(SETTINGS["sender"] | changes)
    )


@pytest.fixture
async def replica(mesh: TestMesh) -> AsyncIterator[Replica]:
    """Senders of one traffic account, each with connections of its own."""
    account, databases = str(uuid.uuid4()), list[Database]()

    def make(**changes: Any) -> Admissions:
        chosen = settings(mesh, mitto_traffic_account_id=account, **changes)
        databases.append(Database(chosen, "sender"))
        return Admissions(databases[-1], chosen)

    yield make
    for database in databases:
        await database.close()


async def test_replicas_keep_one_rate_together(replica: Replica) -> None:
    limits = {"account_requests_per_second": 40.0, "single_requests_share": 0.5}
    replicas = [replica(**limits) for _ in range(3)]
    times: list[float] = []

    async def submit(one: Admissions, merchant_id: str) -> None:
        while len(times) < 40:
            try:
                await one.wait(merchant_id, BULK, 1)
            except HeldBackError as held:
                await asyncio.sleep(held.seconds)
            else:
                times.append(time.monotonic())

    async with asyncio.timeout(60):
        await asyncio.gather(*(submit(one, str(uuid.uuid4())) for one in replicas for _ in range(4)))
    # 20 a second for bulk, of 40, and what may be reserved a second ahead.
    assert len(times) <= 20 * (max(times) - min(times) + 1) + 4


async def test_a_single_does_not_stand_in_the_line_of_bulk(replica: Replica, merchant_id: str) -> None:
    sender = replica(account_requests_per_second=2.0, limit_wait_seconds=10)
    await asyncio.gather(*(asyncio.wait_for(sender.wait(str(uuid.uuid4()), BULK, 1), 30) for _ in range(2)))
    line = [asyncio.create_task(sender.wait(str(uuid.uuid4()), BULK, 1)) for _ in range(3)]
    await asyncio.sleep(0.1)
    await sender.wait(merchant_id, SINGLE, 1)
    assert not any(task.done() for task in line[1:])
    for task in line:
        task.cancel()


async def test_no_answer_is_no_turn(
    replica: Replica, merchant_id: str, monkeypatch: pytest.MonkeyPatch, mesh: TestMesh
) -> None:
    sender = replica()
    await sender.wait(merchant_id, BULK, 1)
    async with SenderStore.open_pipeline(sender._database) as store:
        await store.lock_route(sender._route_id)
        with monkeypatch.context() as patch, pytest.raises(HeldBackError):
            patch.setattr(admission, "TIMEOUT_SECONDS", 0.3)
            await sender.wait(merchant_id, BULK, 1)
    await sender.wait(merchant_id, BULK, 1)


async def test_after_an_ambiguous_answer_submissions_are_small_until_one_is_accepted(
    replica: Replica, merchant_id: str
) -> None:
    one, other = replica(), replica()
    first = await one.wait(merchant_id, BULK, 5000)
    assert first.count == 5000
    await one.learn(first, LOST)
    small = await other.wait(merchant_id, BULK, 5000)
    assert small.count == 50
    await other.learn(small, LOST)
    assert (await one.wait(merchant_id, BULK, 5000)).count == 50
    await one.learn(small, OK)
    assert (await other.wait(merchant_id, BULK, 5000)).count == 5000


async def test_a_refused_key_stops_every_replica_until_a_probe_is_accepted(
    mesh: TestMesh, replica: Replica, merchant_id: str
) -> None:
    one, other = replica(breaker_seconds=8.0), replica(breaker_seconds=8.0)
    await one.learn(await one.wait(merchant_id, BULK, 5000), KEY_REFUSED)
    for lane in (BULK, SINGLE):
        with pytest.raises(HeldBackError) as held:
            await other.wait(merchant_id, lane, 1)
        assert 0 < held.value.seconds <= 8
    await over(mesh)
    probe = await other.wait(merchant_id, BULK, 5000)
    assert probe.count == 50
    with pytest.raises(HeldBackError):
        await one.wait(merchant_id, BULK, 5000)
    await other.learn(probe, OK)
    assert (await one.wait(merchant_id, BULK, 5000)).count == 5000


async def over(mesh: TestMesh) -> None:
    """As if every wait of a breaker had passed."""
    urls = mesh.database("sender")
    async with await psycopg.AsyncConnection.connect(urls.pipeline_url.replace("+psycopg", "")) as connection:
        await connection.execute("UPDATE routes SET retry_time = now()")


async def test_a_high_share_of_unknowns_opens_it(replica: Replica, merchant_id: str) -> None:
    sender = replica(breaker_window=4, breaker_unknown_share=0.5)
    for _ in range(2):
        await sender.learn(await sender.wait(merchant_id, BULK, 1), LOST)
    with pytest.raises(HeldBackError):
        await sender.wait(merchant_id, BULK, 1)


async def test_messages_are_limited_by_smaller_submissions(replica: Replica, merchant_id: str) -> None:
    sender = replica(merchant_messages_per_second=1000.0, single_messages_share=0.2)
    assert (await sender.wait(merchant_id, BULK, 5000)).count == 200


async def test_a_wrong_key_costs_no_try_and_nobody_his_text(mesh: TestMesh) -> None:
    """Held for as long as it takes, then sent once."""
    account = {"mitto_traffic_account_id": str(uuid.uuid4())}
    swift = {"single_sweep_seconds": 0.5, "breaker_seconds": 0.2, "tries_max": 2} | account
    await mesh.service("contacts")
    async with provider(mesh, {}, mitto_api_key="wrong", **swift) as mitto:
        shop = await Shop.opened(mesh, 0)
        queued = await send(shop)
        await asyncio.sleep(2)
        assert (await message(shop, queued.id)).state == pb.Message.QUEUED
        await mesh.stop("sender")
        await mesh.start("sender", {"mitto_api_base": mitto.url} | swift)
        await ended(shop, queued.id, pb.Message.ACCEPTED)
        assert mitto.summary()["accepted"] == 1
