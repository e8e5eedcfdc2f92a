"""Single texts, as a merchant's program asks for them: many at once, each again and again until it is answered."""

import asyncio
import contextlib
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

from tests.shop import Shop

WAVES, TOGETHER = 4, 10
COUNT = WAVES * TOGETHER
WAVE_SECONDS = 0.25
# Shorter than a sender stands still: who asks again gets another one.
ANSWER_SECONDS = 4.0
AGAIN_SECONDS = 0.3
ANSWERED_SECONDS_MAX = 40.0
FIRST_PHONE = 40_000_000


class Texts:
    """`with Texts(shop) as texts:` sends wave after wave; when the block ends every text has an answer."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        shop.phones = [f"+3069{FIRST_PHONE + number:08d}" for number in range(COUNT)]
        #: What each was answered, in turn: the message, or why there is none.
        self.answers: defaultdict[str, list[dict[str, Any] | str]] = defaultdict(list)

    def __enter__(self) -> "Texts":
        with contextlib.ExitStack() as stack:
            pool = stack.enter_context(ThreadPoolExecutor(1))
            stack.callback(pool.submit(asyncio.run, self._ask(WAVE_SECONDS)).result)
            self._undo = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    def ask_again(self) -> None:
        """For every text, under the same id."""
        asyncio.run(self._ask(0))

    async def _ask(self, wave_seconds: float) -> None:
        url, headers = self._shop.mesh.url, self._shop.http.headers
        async with (
            httpx.AsyncClient(base_url=url, headers=headers, timeout=ANSWER_SECONDS) as http,
            asyncio.TaskGroup() as group,
        ):
            for first in range(0, COUNT, TOGETHER):
                for phone in self._shop.phones[first:][:TOGETHER]:
                    group.create_task(self._ask_for(http, phone))
                await asyncio.sleep(wave_seconds)

    async def _ask_for(self, http: httpx.AsyncClient, phone: str) -> None:
        """Again where nobody knows what became of it: no answer, or a failure that is not the caller's."""
        text = {"to": phone, "text": "Your table is ready.", "requestId": phone}
        deadline = time.monotonic() + ANSWERED_SECONDS_MAX
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.TransportError):
                answer = await http.post("/v1/messages", json=text)
                if not answer.is_server_error:
                    self.answers[phone].append(answer.json() if answer.is_success else answer.text)
                    return
            await asyncio.sleep(AGAIN_SECONDS)
