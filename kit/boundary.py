"""The boundary round everything that runs without a caller: jobs, relays, consumers.

What is raised below is logged and counted here, and the work goes on.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from itertools import accumulate

import structlog
from prometheus_client import Counter

FAILURES = Counter("job_failures", "Steps of background work that raised.", ["job"])
BACKOFF_SECONDS_MAX = 5.0
# A round costs a commit or two, however little it finds.
GATHER_SECONDS = 0.02
log = structlog.get_logger()


async def guarded(job: str, work: Awaitable[object]) -> Exception | None:
    """Awaits the work; returns what it raised instead of raising it."""
    try:
        await work
    except Exception as error:
        FAILURES.labels(job).inc()
        log.error("failed", job=job, error=repr(error)[:500], exc_info=error)
        return error
    return None


async def forever(
    job: str,
    step: Callable[[], Awaitable[bool]],
    idle_seconds: float,
    leaving: asyncio.Event,
    wake: asyncio.Event | None = None,
    gather_seconds: float = GATHER_SECONDS,
) -> None:
    """Runs `step` until cancelled, or until `leaving` (and `wake`) are set between two steps: at once again while it
    says that more is waiting, else after `idle_seconds` or when `wake` is set, whichever comes first, but not before
    others may have come along, in `gather_seconds`. After a failure it backs off, up to five seconds.
    """
    backoff_seconds = 0.1
    while not leaving.is_set():
        found = [False]

        async def turn(found: list[bool] = found) -> None:
            found[0] = await step()

        if wake is not None:
            wake.clear()
        if await guarded(job, turn()) is not None:
            await _within(backoff_seconds, leaving)
            backoff_seconds = min(backoff_seconds * 2, BACKOFF_SECONDS_MAX)
            continue
        backoff_seconds = 0.1
        if not found[0]:
            await asyncio.sleep(gather_seconds)
            await _within(idle_seconds, wake or leaving)


def fitting(sizes: Iterable[int], most: int) -> int:
    """How many of the first have these sizes together at most; one at least, so that a round gets on."""
    return max(1, sum(total <= most for total in accumulate(sizes)))


async def _within(seconds: float, event: asyncio.Event) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


async def ended(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancels the tasks and waits until they are gone. Until Python 3.12, `asyncio.wait_for` swallows a cancellation
    that meets its result, so it is said again.
    """
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=1)
