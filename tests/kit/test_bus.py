"""Events and work, over a real broker and a real database: nothing lost, nothing handled twice."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from sqlalchemy import func, select, text

from astronote.accounts.v1.events_pb2 import MerchantRegistered
from astronote.sender.v1.batches_pb2 import SendBatch
from deploy.local.nats import Nats
from kit import inbox as kit_inbox
from kit import trace
from kit.boundary import ended, forever
from kit.bus import Bus, Relay, work_subject
from kit.inbox import Consumer, Delivery, Inbox, RetryLater
from kit.store import Database
from services.accounts.settings import Settings
from services.accounts.store import AccountStore as Store
from tests.conftest import KEYS, PUBLIC_KEYS, TestMesh

OUTBOX, DEAD = Store.metadata.tables["outbox"], Store.metadata.tables["dead_letters"]


@pytest.fixture
async def database(mesh: TestMesh) -> AsyncIterator[Database]:
    # The service's own relay would carry off what is said here.
    if "accounts" in mesh.running():
        await mesh.stop("accounts")
    urls = mesh.database("accounts")
    settings = Settings(
        database_url=urls.url,
        pipeline_database_url=urls.pipeline_url,
        nats_url="",
        mesh_private_key=KEYS["accounts"].private,
        mesh_public_keys=PUBLIC_KEYS,
        signing_key_encryption_key="A" * 43,
    )
    database = Database(settings, "accounts")
    yield database
    async with database.pipeline.begin() as connection:
        await connection.execute(text("DELETE FROM outbox; DELETE FROM dead_letters"))
    await database.close()


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nats]:
    """Not the mesh's own: what is said here no service could handle."""
    with Nats(tmp_path_factory.mktemp("broker"), token="test", erase=True) as server:
        yield server


@pytest.fixture
async def bus(broker: Nats) -> AsyncIterator[Bus]:
    """A name of its own, so that each test has its own place in the streams."""
    bus = Bus(broker.url, f"test{uuid.uuid4().hex[:8]}")
    await bus.connect()
    yield bus
    await bus.close()


class Fed:
    """An inbox at work, and what it was given."""

    def __init__(self, database: Database, bus: Bus, handle: Any, **options: Any) -> None:
        consumer = Consumer(options.pop("message", MerchantRegistered), handle, **options)
        self.inbox = Inbox(database, bus, Store, consumer)
        self.task = asyncio.create_task(forever("test", self.inbox.step, 0.1, asyncio.Event()))

    async def __aenter__(self) -> "Fed":
        return self

    async def __aexit__(self, *_: object) -> None:
        await ended([self.task])
        await self.inbox.drain(5)


async def until(condition: Any, seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not await condition() if asyncio.iscoroutinefunction(condition) else not condition():
            await asyncio.sleep(0.02)


async def waiting(database: Database) -> int:
    """Events that have not left."""
    async with Store.open_pipeline(database) as store:
        return await store.connection.scalar(select(func.count()).select_from(OUTBOX)) or 0


async def test_an_event_leaves_with_its_transaction_or_not_at_all(database: Database, bus: Bus) -> None:
    ours, seen = {str(uuid.uuid4()), str(uuid.uuid4())}, []
    gone = str(uuid.uuid4())

    async def handle(event: MerchantRegistered, delivery: Delivery) -> None:
        seen.append(event.merchant_id)

    async with Store.open_pipeline(database) as store:
        await store.emit(*(MerchantRegistered(merchant_id=id) for id in ours))
    with pytest.raises(ZeroDivisionError):
        async with Store.open_pipeline(database) as store:
            await store.emit(MerchantRegistered(merchant_id=gone))
            raise ZeroDivisionError
    assert await waiting(database) == len(ours)
    relay = Relay(database, bus, Store)
    async with Fed(database, bus, handle):
        assert not await relay.step()
        await until(lambda: ours <= set(seen))
    assert gone not in seen
    assert await waiting(database) == 0


async def test_the_relay_holds_no_lock_while_it_publishes(database: Database, bus: Bus) -> None:
    async with Store.open_pipeline(database) as store:
        await store.emit(MerchantRegistered(merchant_id="m"))
    publishing, go_on = asyncio.Event(), asyncio.Event()

    class Slow(Bus):
        async def publish(self, subject: str, payload: bytes, key: str, traceparent: str = "") -> None:
            publishing.set()
            await go_on.wait()

    turn = asyncio.create_task(Relay(database, Slow(bus.url, bus.service), Store).step())
    await publishing.wait()
    async with Store.open_pipeline(database) as store:
        free = select(OUTBOX.c.id).with_for_update(nowait=True)
        assert len((await store.connection.execute(free)).all()) == 1
    # A second relay leaves it alone: it is claimed.
    await Relay(database, bus, Store).step()
    assert await waiting(database) == 1
    go_on.set()
    await turn
    assert await waiting(database) == 0


async def test_what_the_broker_refused_stays(database: Database, bus: Bus) -> None:
    class Deaf(Bus):
        async def publish(self, subject: str, payload: bytes, key: str, traceparent: str = "") -> None:
            raise ConnectionError

    async with Store.open_pipeline(database) as store:
        await store.emit(MerchantRegistered(merchant_id="m"))
    with pytest.raises(ConnectionError):
        await Relay(database, Deaf(bus.url, bus.service), Store).step()
    assert await waiting(database) == 1
    await Relay(database, bus, Store).step()
    assert await waiting(database) == 0


async def test_a_relay_says_whether_more_is_waiting(
    database: Database, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kit.bus.RELAY_BATCH", 2)
    async with Store.open_pipeline(database) as store:
        await store.emit(*(MerchantRegistered(merchant_id=str(number)) for number in range(3)))
    relay = Relay(database, bus, Store)
    assert [await relay.step() for _ in range(2)] == [True, False]
    assert await waiting(database) == 0


async def test_an_event_that_comes_twice_is_handled_once(database: Database, bus: Bus) -> None:
    handled, deliveries = [], []

    async def handle(event: MerchantRegistered, delivery: Delivery) -> None:
        deliveries.append(delivery.key)
        async with Store.open_pipeline(database) as store:
            if await store.first_time(delivery.key):
                handled.append(event.merchant_id)
        if len(deliveries) == 1:
            raise ValueError("after the commit, before the ack")

    id = str(uuid.uuid4())
    async with Fed(database, bus, handle):
        event = MerchantRegistered(merchant_id=id)
        await bus.publish(f"event.{event.DESCRIPTOR.full_name}", event.SerializeToString(), f"k-{id}")
        await until(lambda: deliveries.count(f"{deliveries[0]}") == 2 if deliveries else False)
    assert handled.count(id) == 1


async def test_an_effect_and_its_inbox_key_are_one_transaction(database: Database) -> None:
    key = f"test:{uuid.uuid4()}"
    with pytest.raises(ZeroDivisionError):
        async with Store.open_pipeline(database) as store:
            assert await store.first_time(key)
            raise ZeroDivisionError
    async with Store.open_pipeline(database) as store:
        assert await store.first_time(key)
    async with Store.open_pipeline(database) as store:
        assert not await store.first_time(key)


async def test_what_can_not_be_handled_becomes_a_dead_letter(
    database: Database, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kit_inbox, "MAX_DELIVER", 2)
    tries = []

    async def handle(batch: SendBatch, delivery: Delivery) -> None:
        tries.append(batch.batch_id)
        raise ValueError("poison")

    lane = f"lane{uuid.uuid4().hex[:8]}"
    payload = SendBatch(batch_id=7).SerializeToString()

    async def is_buried() -> bool:
        async with Store.open_pipeline(database) as store:
            rows = (await store.connection.execute(select(DEAD.c.payload, DEAD.c.deliveries, DEAD.c.error))).all()
        return [tuple(row) for row in rows] == [(payload, 2, "ValueError('poison')")]

    async with Fed(database, bus, handle, message=SendBatch, lane=lane):
        await bus.publish(work_subject(SendBatch, lane), payload, lane)
        await until(is_buried)
        await asyncio.sleep(0.5)
    assert tries == [7, 7]


async def test_work_that_is_put_off_comes_again_and_is_no_fault(database: Database, bus: Bus) -> None:
    tries = []

    async def handle(batch: SendBatch, delivery: Delivery) -> None:
        tries.append(asyncio.get_running_loop().time())
        if len(tries) == 1:
            raise RetryLater(0.5)

    lane = f"lane{uuid.uuid4().hex[:8]}"
    async with Fed(database, bus, handle, message=SendBatch, lane=lane):
        await bus.publish(work_subject(SendBatch, lane), b"", lane)
        await until(lambda: len(tries) == 2)
    assert tries[1] - tries[0] >= 0.4


async def test_who_leaves_may_hand_back_what_is_in_hand(database: Database, bus: Bus) -> None:
    begun, done = asyncio.Event(), asyncio.Event()

    async def half(batch: SendBatch, delivery: Delivery) -> None:
        begun.set()
        await delivery.leaving.wait()
        raise RetryLater(0)

    async def other(batch: SendBatch, delivery: Delivery) -> None:
        done.set()

    lane = f"lane{uuid.uuid4().hex[:8]}"
    async with Fed(database, bus, half, message=SendBatch, lane=lane), asyncio.timeout(20):
        await bus.publish(work_subject(SendBatch, lane), b"", lane)
        await begun.wait()
    async with Fed(database, bus, other, message=SendBatch, lane=lane), asyncio.timeout(20):
        await done.wait()


async def test_hands_are_used_up_to_their_number_and_no_further(database: Database, bus: Bus) -> None:
    at_work, most, done = 0, 0, 0

    async def handle(batch: SendBatch, delivery: Delivery) -> None:
        nonlocal at_work, most, done
        at_work += 1
        most = max(most, at_work)
        await asyncio.sleep(0.05)
        at_work -= 1
        done += 1

    lane = f"lane{uuid.uuid4().hex[:8]}"
    for number in range(12):
        await bus.publish(work_subject(SendBatch, lane), b"", f"{lane}-{number}")
    async with Fed(database, bus, handle, message=SendBatch, lane=lane, concurrency=3):
        await until(lambda: done == 12)
    assert most == 3


async def test_what_comes_together_is_handled_together_and_holds_up_no_other(database: Database, bus: Bus) -> None:
    taken: list[list[int]] = []

    async def handle(batches: list[tuple[SendBatch, Delivery]]) -> None:
        taken.append([batch.batch_id for batch, _ in batches])
        if taken[-1].count(2) and len(taken) <= 4:
            raise ValueError("one of them")

    lane = f"lane{uuid.uuid4().hex[:8]}"
    for number in range(3):
        await bus.publish(
            work_subject(SendBatch, lane), SendBatch(batch_id=number).SerializeToString(), f"{lane}-{number}"
        )
    async with Fed(database, bus, handle, message=SendBatch, lane=lane, together_max=50):
        await until(lambda: len(taken) > 4)
    # Together, each alone, and the one again that could not be handled then.
    assert taken == [[0, 1, 2], [0], [1], [2], [2]]


async def test_a_stream_that_was_wiped_is_made_again(
    database: Database, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kit_inbox, "FETCH_SECONDS", 0.5)
    seen = []

    async def handle(batch: SendBatch, delivery: Delivery) -> None:
        seen.append(batch.batch_id)

    lane = f"lane{uuid.uuid4().hex[:8]}"
    async with Fed(database, bus, handle, message=SendBatch, lane=lane):
        await bus.publish(work_subject(SendBatch, lane), SendBatch(batch_id=1).SerializeToString(), f"{lane}-1")
        await until(lambda: seen == [1])
        await bus.stream.delete_stream("WORK")
        with pytest.raises(Exception, match="no response from stream"):
            await bus.publish(work_subject(SendBatch, lane), b"", f"{lane}-2")
        await bus.publish(work_subject(SendBatch, lane), SendBatch(batch_id=3).SerializeToString(), f"{lane}-3")
        await until(lambda: seen == [1, 3])


async def test_a_stream_that_was_wiped_while_all_hands_were_full_is_heard_again(database: Database, bus: Bus) -> None:
    """No pull is pending then, and the broker answers the next one with 503 at once."""
    seen, go_on = [], asyncio.Event()

    async def handle(batch: SendBatch, delivery: Delivery) -> None:
        seen.append(batch.batch_id)
        await go_on.wait()

    lane = f"lane{uuid.uuid4().hex[:8]}"
    async with Fed(database, bus, handle, message=SendBatch, lane=lane):
        await bus.publish(work_subject(SendBatch, lane), SendBatch(batch_id=1).SerializeToString(), f"{lane}-1")
        await until(lambda: seen == [1])
        await bus.stream.delete_stream("WORK")
        await bus.ensure_streams()
        await bus.publish(work_subject(SendBatch, lane), SendBatch(batch_id=2).SerializeToString(), f"{lane}-2")
        go_on.set()
        await until(lambda: seen == [1, 2])


async def test_an_event_and_work_go_on_in_the_trace_in_which_they_were_said(database: Database, bus: Bus) -> None:
    seen: dict[str, str] = {}

    async def handle(message: Any, delivery: Delivery) -> None:
        seen[type(message).__name__] = trace.trace_id()

    said, work = uuid.uuid4().hex, uuid.uuid4().hex
    trace.enter(trace.of(said))
    async with Store.open_pipeline(database) as store:
        await store.emit(MerchantRegistered(merchant_id="m"))
    # The relay runs in nobody's name.
    trace.enter("")
    lane = uuid.uuid4().hex
    async with Fed(database, bus, handle), Fed(database, bus, handle, message=SendBatch, lane=lane):
        await Relay(database, bus, Store).step()
        await bus.publish(work_subject(SendBatch, lane), SendBatch().SerializeToString(), lane, trace.of(work))
        # What other tests have said comes first.
        await until(lambda: seen == {"MerchantRegistered": said, "SendBatch": work})
    assert trace.current() == ""
