"""What a reader is given, and when, by a real broker."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator

import nats
import pytest
from nats.js import JetStreamContext
from nats.js.api import ConsumerConfig

from deploy.local.nats import Nats
from kit.pulling import Pull

NOTHING_SECONDS = 0.2
# Far longer than any answer takes, and far shorter than a question may.
SOON_SECONDS, LONG_SECONDS = 10, 60


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nats]:
    with Nats(tmp_path_factory.mktemp("broker"), token="test", erase=True) as server:
        yield server


@pytest.fixture
async def stream(broker: Nats) -> AsyncIterator[JetStreamContext]:
    client = await nats.connect(broker.url)
    yield client.jetstream()
    await client.close()


@pytest.fixture
async def subject(stream: JetStreamContext) -> str:
    """Its stream, its consumer and its messages go by one name."""
    name = f"t{uuid.uuid4().hex[:8]}"
    await stream.add_stream(name=name, subjects=[name])
    await stream.add_consumer(name, ConsumerConfig(durable_name=name, ack_wait=LONG_SECONDS))
    return name


@pytest.fixture
async def pull(stream: JetStreamContext, subject: str) -> AsyncIterator[Pull]:
    pull = Pull(stream._nc, subject, subject)
    yield pull
    await pull.close()


async def taken(pull: Pull, most: int, seconds: float = LONG_SECONDS) -> list[bytes]:
    async with asyncio.timeout(SOON_SECONDS):
        return [message.data for message in await pull.take(most, seconds)]


async def test_what_is_there_comes_together_and_no_more_than_asked(
    stream: JetStreamContext, subject: str, pull: Pull
) -> None:
    for number in range(3):
        await stream.publish(subject, b"%d" % number)
    assert await taken(pull, 2) == [b"0", b"1"]
    assert await taken(pull, 2) == [b"2"]
    assert await taken(pull, 2, NOTHING_SECONDS) == []


async def test_the_first_that_comes_waits_for_no_second(stream: JetStreamContext, subject: str, pull: Pull) -> None:
    for _ in range(3):
        reading = asyncio.create_task(taken(pull, 5))
        await asyncio.sleep(0.1)
        await stream.publish(subject, b"one")
        assert await reading == [b"one"]


async def test_a_question_that_ends_late_is_not_taken_for_the_next(
    stream: JetStreamContext, subject: str, pull: Pull
) -> None:
    assert await taken(pull, 5, NOTHING_SECONDS) == []
    late = f"{pull._inbox}.0"
    for _ in range(3):
        reading = asyncio.create_task(taken(pull, 5))
        await asyncio.sleep(0.1)
        await stream._nc.publish(late, headers={"Status": "408"})
        await asyncio.sleep(0.1)
        assert not reading.done()
        await stream.publish(subject, b"one")
        assert await reading == [b"one"]


async def test_what_came_for_a_question_that_was_given_up_is_given_to_the_next(
    stream: JetStreamContext, subject: str, pull: Pull
) -> None:
    reading = asyncio.create_task(pull.take(5, LONG_SECONDS))
    await asyncio.sleep(0.1)
    reading.cancel()
    await asyncio.wait([reading])
    await stream.publish(subject, b"one")
    assert await taken(pull, 5) == [b"one"]


async def test_what_nobody_took_goes_to_another_at_once(stream: JetStreamContext, subject: str, pull: Pull) -> None:
    reading = asyncio.create_task(pull.take(5, LONG_SECONDS))
    await asyncio.sleep(0.1)
    reading.cancel()
    await stream.publish(subject, b"one")
    await asyncio.sleep(0.1)
    await pull.close()
    other = Pull(stream._nc, subject, subject)
    assert await taken(other, 5) == [b"one"]
    await other.close()


async def test_readers_share_what_there_is(stream: JetStreamContext, subject: str, pull: Pull) -> None:
    other = Pull(stream._nc, subject, subject)
    for number in range(40):
        await stream.publish(subject, b"%d" % number)
    seen: list[bytes] = []
    while len(seen) < 40:
        for each in await asyncio.gather(*(taken(each, 3, NOTHING_SECONDS) for each in (pull, other))):
            seen += each
    assert sorted(map(int, seen)) == list(range(40))
    await other.close()


async def test_who_asks_a_consumer_that_is_gone_is_told_at_once(
    stream: JetStreamContext, subject: str, pull: Pull
) -> None:
    reading = asyncio.create_task(taken(pull, 5))
    await asyncio.sleep(0.1)
    await stream.delete_consumer(subject, subject)
    assert await reading == []
    assert await taken(pull, 5) == []
