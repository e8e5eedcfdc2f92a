"""How messages are asked for: JetStream's pull (`CONSUMER.MSG.NEXT`), with an address of its own for each question.

nats-py's `fetch` has one address for all of them: where a question ends late, it takes that for the end of the next,
asks twice, and holds what comes until its time is over, for seconds (ADR 47).
"""

import asyncio
from collections import deque
from contextlib import suppress
from itertools import count

import orjson
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

# The end of a question is on its way when its time is over.
GRACE_SECONDS = 0.5
# What came first is held no longer, where the end does not come: it was the answer to a question that was given up.
MORE_SECONDS = 0.05


class Pull:
    """One reader of a durable consumer: it has one question open at a time."""

    def __init__(self, client: Client, stream: str, durable: str) -> None:
        self._client, self._subject = client, f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{durable}"
        self._inbox, self._numbers = client.new_inbox(), count()
        self._came: deque[Msg] = deque()
        self._news = asyncio.Event()
        self._asked, self._is_answered = "", False
        self._subscription: Subscription | None = None

    async def take(self, most: int, seconds: float) -> list[Msg]:
        """What is there, up to so many; where nothing is, what comes first within so long. None where nothing came, or
        where there is no such consumer.
        """
        if self._subscription is None:
            self._subscription = await self._client.subscribe(f"{self._inbox}.*", cb=self._hear)
        if not self._came:
            self._asked, self._is_answered = f"{self._inbox}.{next(self._numbers)}", False
            # Both together: the broker waits for the first one, and says so when there are no more (a status of 404).
            question = {"batch": most, "no_wait": True, "expires": int(seconds * 1e9)}
            await self._client.publish(self._subject, orjson.dumps(question), reply=self._asked)
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds + GRACE_SECONDS) as limit:
                    while len(self._came) < most and not self._is_answered:
                        self._news.clear()
                        await self._news.wait()
                        if self._came:
                            limit.reschedule(asyncio.get_running_loop().time() + MORE_SECONDS)
        return [self._came.popleft() for _ in range(min(most, len(self._came)))]

    async def _hear(self, message: Msg) -> None:
        if not (message.headers or {}).get("Status"):
            self._came.append(message)
        elif message.subject == self._asked:
            self._is_answered = True
        self._news.set()

    async def close(self) -> None:
        """What came and was not taken goes back, and to somebody else at once."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            await subscription.unsubscribe()
        while self._came:
            await self._came.popleft().nak()
