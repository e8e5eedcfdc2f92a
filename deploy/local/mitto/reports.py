"""Delivery reports: decides each message's fate, and posts what there is to say about it in arrays."""

import asyncio
import heapq
import random
import time
from collections import Counter
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any

from deploy.local.mitto.behaviour import Terms
from deploy.local.mitto.callbacks import Callback
from deploy.local.mitto.record import Record, Submission

_PATH = "/webhooks/mitto/dlr"
_PER_REQUEST_MAX = 500
_IN_FLIGHT_MAX = 4
_WAITING_BATCHES_MAX = 8
_LINGER_SECONDS = 0.01  # so that single messages are reported together, too
_HELD_MAX = 20_000
_HELD_SECONDS_MAX = 0.5

Report = tuple[int, dict[str, Any]]
"""The first message of the submission, which tells when all of it is reported, and the report itself."""


def fates(submission: Submission) -> tuple[list[str], random.Random]:
    """`Delivered`, `Failure` or `Sent` (for good) for each message, and the dice to go on with.

    They depend on the seed and the message's number alone, so a look, a report and a restart agree.
    """
    terms = submission.terms
    dice = random.Random(terms.seed << 64 | submission.first)  # noqa: S311 - runs must repeat
    weights = (terms.delivered, terms.failed, terms.silent)
    if terms.delivered and not any(weights[1:]):
        return ["Delivered"] * submission.count, dice
    return dice.choices(("Delivered", "Failure", "Sent"), weights, k=submission.count), dice


def due_ms(submission: Submission) -> int:
    """The Unix time at which the fate of a submission's messages is known."""
    return submission.at_ms + submission.terms.delay_ms


def timestamp(unix_ms: int) -> str:
    """RFC 3339 in UTC with milliseconds."""
    return datetime.fromtimestamp(unix_ms / 1000, UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


FAILURE = {"description": "The phone could not be reached", "error": "ABSENT_SUBSCRIBER"}


class Reporter:
    """Posts reports when they are due. What waits is a tuple a submission; reports themselves exist only for the
    few batches about to be posted, so a gateway that is down costs no memory."""

    def __init__(self, record: Record, base_url: str, secret: str) -> None:
        self._record = record
        self._callbacks = [Callback(base_url, secret) for _ in range(_IN_FLIGHT_MAX)]
        self._tasks: list[asyncio.Task[None]] = []
        self._forget()

    def start(self) -> None:
        """Begins to post, from nothing but what a former process left unreported."""
        self._forget()
        for submission in self._record.unreported.values():
            self.schedule(submission)
        self._record.unreported.clear()
        self._tasks = [asyncio.create_task(self._post(callback)) for callback in self._callbacks]
        self._tasks.append(asyncio.create_task(self._produce()))

    async def stop(self) -> None:
        """Drops what was not posted; a record in a file still knows it."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for callback in self._callbacks:
            callback.close()

    def schedule(self, submission: Submission) -> None:
        """Has a submission reported once its delay is over."""
        heapq.heappush(self._due, (due_ms(submission), submission.first, submission))
        self.pending += submission.count
        if self._due[0][2] is submission:
            self._woken.set()

    def _forget(self) -> None:
        self._due: list[tuple[int, int, Submission]] = []
        self._woken = asyncio.Event()
        self._batches: asyncio.Queue[list[Report]] = asyncio.Queue(_WAITING_BATCHES_MAX)
        self._held: list[Report] = []
        self._held_since_seconds = 0.0
        self._outstanding: dict[int, int] = {}
        self.posted = 0
        self.given_up = 0
        self.pending = 0

    async def _produce(self) -> None:
        """Turns submissions into batches, waiting where the posting can't follow."""
        ready: list[Report] = []
        while True:
            now = time.time()
            if self._due and self._due[0][0] <= now * 1000:
                ready += self._expand(heapq.heappop(self._due)[2])
                idle = False
            else:
                idle = True
            ready += self._released(now)
            while len(ready) >= _PER_REQUEST_MAX or (ready and idle):
                await self._batches.put(ready[:_PER_REQUEST_MAX])
                del ready[:_PER_REQUEST_MAX]
            if idle:
                await self._wait()

    async def _wait(self) -> None:
        """Until something is or may be due."""
        self._woken.clear()
        times = [self._due[0][0] / 1000] if self._due else []
        if self._held:
            times.append(self._held_since_seconds + _HELD_SECONDS_MAX)
        try:
            async with asyncio.timeout(max(min(times) - time.time(), 0) + _LINGER_SECONDS if times else None):
                await self._woken.wait()
        except TimeoutError:
            return

    def _expand(self, submission: Submission) -> list[Report]:
        """The reports of a submission that go out now; those to be shuffled are held back."""
        terms, first = submission.terms, submission.first
        known, dice = fates(submission)
        reports = [(first, report) for report in self._reports(submission, known)]
        if terms.doubled:
            reports += [report for report in reports if dice.random() < terms.doubled]
        self.pending += len(reports) - submission.count
        if reports:
            self._outstanding[first] = len(reports)
        else:
            self._record.mark_reported(first)
        return self._hold(reports, terms, dice) if terms.shuffled else reports

    def _reports(self, submission: Submission, known: list[str]) -> list[dict[str, Any]]:
        """The body of each report; silent messages have none."""
        updated_at = timestamp(due_ms(submission))
        ids = self._record.ids.encode(submission.first, submission.count)
        reports: list[dict[str, Any]] = [
            {"messageId": message_id, "deliveryStatus": status, "updatedAt": updated_at}
            for message_id, status in zip(ids, known, strict=True)
        ]
        if submission.terms.echo_reference:
            for report, reference in zip(reports, self._record.references(submission), strict=True):
                if reference is not None:
                    report["reference"] = reference
        for report in reports:
            if report["deliveryStatus"] == "Failure":
                report.update(FAILURE)
        if "Sent" in known:
            return [report for report in reports if report["deliveryStatus"] != "Sent"]
        return reports

    def _hold(self, reports: list[Report], terms: Terms, dice: random.Random) -> list[Report]:
        now: list[Report] = []
        if not self._held:
            self._held_since_seconds = time.time()
        for report in reports:
            (self._held if dice.random() < terms.shuffled else now).append(report)
        return now

    def _released(self, now_seconds: float) -> list[Report]:
        """What was held back, mixed, once there is enough of it or it waited long enough."""
        if not self._held:
            return []
        if len(self._held) < _HELD_MAX and now_seconds < self._held_since_seconds + _HELD_SECONDS_MAX:
            return []
        released, self._held = self._held, []
        random.Random(len(released)).shuffle(released)  # noqa: S311 - runs must repeat
        return released

    async def _post(self, callback: Callback) -> None:
        while True:
            batch = await self._batches.get()
            if await callback.deliver(_PATH, [report for _, report in batch]):
                self.posted += len(batch)
            else:
                self.given_up += len(batch)
            self.pending -= len(batch)
            for first, count in Counter(map(itemgetter(0), batch)).items():
                self._outstanding[first] -= count
                if not self._outstanding[first]:
                    del self._outstanding[first]
                    self._record.mark_reported(first)
