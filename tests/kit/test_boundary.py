"""Work without a caller: it goes on after a failure, and ends when it is told to."""

import asyncio

from kit.boundary import ended, forever


async def test_work_ends_even_where_a_library_swallows_the_first_cancellation() -> None:
    begun, swallowed = asyncio.Event(), []

    async def step() -> bool:
        begun.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            # As `asyncio.wait_for` of Python 3.11 does where its result came in the same turn.
            if swallowed:
                raise
            swallowed.append(True)
        return True

    task = asyncio.create_task(forever("deaf", step, 0.1, asyncio.Event()))
    await begun.wait()
    async with asyncio.timeout(20):
        await ended([task])
    assert task.cancelled()
    assert swallowed
