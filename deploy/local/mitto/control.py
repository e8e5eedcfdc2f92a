"""The routes under `/_stand-in/`: what tests and the local mesh ask for and change."""

import asyncio
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote_to_bytes

from pydantic import ValidationError

from deploy.local.mitto.answers import Answer, RefusedError, json_answer, parsed
from deploy.local.mitto.behaviour import Conduct
from deploy.local.mitto.callbacks import Callback
from deploy.local.mitto.record import Record
from deploy.local.mitto.reports import Reporter
from deploy.local.mitto.submissions import described

_INBOUND_PATH = "/webhooks/mitto/inbound"
_INBOUND_WAITING_MAX = 1_000


class Control:
    """Looks at the record, changes the behaviour, plays the customer."""

    def __init__(
        self, record: Record, conduct: Conduct, reporter: Reporter | None, callback: Callable[[], Callback] | None
    ) -> None:
        self._record = record
        self._conduct = conduct
        self._reporter = reporter
        self._callback = callback
        self._inbound: set[asyncio.Task[None]] = set()

    async def summary(self, query: bytes, body: bytes) -> Answer:
        return json_answer(self.totals())

    async def accepted(self, query: bytes, body: bytes) -> Answer:
        """`?destination=+30…` → `{messages: […]}`, oldest first."""
        name, _, value = query.partition(b"=")
        # A plus is a space in a query string, where nobody escaped it; both are dropped.
        digits = unquote_to_bytes(value).strip(b"+ ")
        if name != b"destination" or not digits.isdigit():
            raise RefusedError(400, "one parameter is needed: destination, in E.164")
        return json_answer({"messages": self.accepted_for(digits.decode())})

    async def behaviour(self, query: bytes, body: bytes) -> Answer:
        """Merges the fields of the body into the behaviour; answers with all of it."""
        try:
            self._conduct.change(parsed(body))
        except ValidationError as error:
            raise RefusedError(400, str(error)) from error
        return json_answer(self._conduct.settings.model_dump(by_alias=True))

    async def inbound(self, query: bytes, body: bytes) -> Answer:
        """`{from, to, text}`: a customer answers; posted, with retries, after this returned."""
        content = parsed(body)
        if set(content) != {"from", "to", "text"} or not all(isinstance(value, str) for value in content.values()):
            raise RefusedError(400, "an inbound message is {from, to, text}")
        if self._callback is None:
            raise RefusedError(409, "no callback address is set")
        if len(self._inbound) >= _INBOUND_WAITING_MAX:
            raise RefusedError(429, "too many inbound messages wait for the webhook", 1)
        task = asyncio.create_task(_deliver_inbound(self._callback(), content))
        self._inbound.add(task)
        task.add_done_callback(self._inbound.discard)
        return json_answer({}, status=202)

    async def reset(self, query: bytes, body: bytes) -> Answer:
        """Forgets what was accepted and what was to be posted; the default behaviour again."""
        await self.stop()
        self._record.clear()
        self._conduct.reset()
        self.start()
        return json_answer(self.totals())

    def totals(self) -> dict[str, Any]:
        """`{requests, accepted, distinctDestinations, doubled, sample, reports: {posted, pending, givenUp}}`."""
        reporter = self._reporter
        return {
            "requests": self._record.requests,
            "accepted": self._record.count,
            **self._record.oracle.verdict(),
            "reports": {
                "posted": reporter.posted if reporter else 0,
                "pending": reporter.pending if reporter else 0,
                "givenUp": reporter.given_up if reporter else 0,
            },
        }

    def accepted_for(self, digits: str) -> list[dict[str, Any]]:
        """What was accepted for a number, as the provider's model with the destination added."""
        return [
            {"destination": message["destination"], **described(message_id, submission, position, message)}
            for message_id, submission, position, message in self._record.to_destination(digits)
        ]

    def start(self) -> None:
        if self._reporter is not None:
            self._reporter.start()

    async def stop(self) -> None:
        """Ends what is being posted."""
        for task in self._inbound:
            task.cancel()
        await asyncio.gather(*self._inbound, return_exceptions=True)
        if self._reporter is not None:
            await self._reporter.stop()


async def _deliver_inbound(callback: Callback, content: dict[str, object]) -> None:
    try:
        await callback.deliver(_INBOUND_PATH, content)
    finally:
        callback.close()
