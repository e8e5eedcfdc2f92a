"""Posts events to the webhook, signed, until a 2xx comes."""

import asyncio
import hashlib
import hmac
import time

import httpx
import orjson

from deploy.local.stripe.book import Book, Object

TIMEOUT_SECONDS = 30.0
GIVE_UP_SECONDS = 3 * 86400.0
PAUSE_SECONDS_MIN, PAUSE_SECONDS_MAX = 0.1, 5.0


def signature(body: bytes, secret: str, at_seconds: int) -> str:
    """The `Stripe-Signature` of a body."""
    digest = hmac.new(secret.encode(), b"%d." % at_seconds + body, hashlib.sha256).hexdigest()
    return f"t={at_seconds},v1={digest}"


class Deliveries:
    """Each event is posted by itself, so that they arrive in no order."""

    def __init__(self, url: str, secret: str) -> None:
        self._url, self._secret = url, secret
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, book: Book) -> None:
        """Goes on with what a former process could not deliver."""
        self._book, self._client = book, httpx.AsyncClient(timeout=TIMEOUT_SECONDS)
        for event in book.undelivered():
            self.post(event)

    def post(self, event: Object) -> None:
        if self._url:
            task = asyncio.create_task(self._deliver(event))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._client.aclose()

    async def _deliver(self, event: Object) -> None:
        loop = asyncio.get_running_loop()
        body, pause_seconds, end = orjson.dumps(event), PAUSE_SECONDS_MIN, loop.time() + GIVE_UP_SECONDS
        while loop.time() < end:
            headers = {"Content-Type": "application/json"}
            headers["Stripe-Signature"] = signature(body, self._secret, int(time.time()))
            try:
                answer = await self._client.post(self._url, content=body, headers=headers)
            except httpx.HTTPError:
                pass  # the gateway may be restarting
            else:
                if answer.is_success:
                    self._book.delivered(event)
                    return
            await asyncio.sleep(pause_seconds)
            pause_seconds = min(2 * pause_seconds, PAUSE_SECONDS_MAX)
