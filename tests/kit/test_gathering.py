"""Rounds of those who came while the last one was in hand: nobody is lost, nobody is answered with another's end."""

import asyncio
from collections.abc import Sequence

import pytest

from kit import trace
from kit.errors import NotFound
from kit.gathering import Gathering, Gatherings


class Missing(NotFound):
    """It is not there."""


class Work:
    """Answers with the double; refuses 13, fails on 99. Each round waits to be let go."""

    def __init__(self) -> None:
        self.rounds: list[list[int]] = []
        self.go = asyncio.Semaphore(0)

    async def __call__(self, items: Sequence[int]) -> Sequence[int | Missing]:
        self.rounds.append(list(items))
        await self.go.acquire()
        if 99 in items:
            raise ValueError("the round")
        return [Missing(id=item) if item == 13 else item * 2 for item in items]


async def test_who_comes_alone_goes_at_once_and_the_rest_together() -> None:
    work = Work()
    gathering = Gathering(work, items_max=3)
    calls = [asyncio.create_task(gathering.add(number)) for number in (1, 2)]
    await asyncio.sleep(0)
    calls += [asyncio.create_task(gathering.add(number)) for number in (13, 4, 5, 99, 6)]
    await asyncio.sleep(0)
    calls[1].cancel()
    for _ in range(4):
        work.go.release()
    ends = await asyncio.gather(*calls, return_exceptions=True)
    assert [len(each) <= 3 for each in work.rounds] == [True] * len(work.rounds)
    assert [number for each in work.rounds for number in each] == [1, 2, 13, 4, 5, 99, 6]
    assert ends[0] == 2
    assert isinstance(ends[1], asyncio.CancelledError)
    assert isinstance(ends[2], Missing)
    failed = next(each for each in work.rounds if 99 in each)
    for number, end in zip((4, 5, 99, 6), ends[3:], strict=True):
        assert isinstance(end, ValueError) if number in failed else end == number * 2
    work.go.release()
    assert await gathering.add(8) == 16


async def test_what_a_round_raises_is_raised_for_each_of_it() -> None:
    work = Work()
    gathering = Gathering(work, items_max=10)
    work.go.release()
    with pytest.raises(ValueError, match="the round"):
        await gathering.add(99)


async def test_who_is_gone_before_their_round_is_left_out() -> None:
    work = Work()
    gathering = Gathering(work, items_max=2)
    calls = [asyncio.create_task(gathering.add(number)) for number in range(6)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    for gone in (1, 3, 4):
        calls[gone].cancel()
    for _ in range(2):
        work.go.release()
    ends = await asyncio.gather(*calls, return_exceptions=True)
    assert work.rounds == [[0, 1], [2, 5]]
    assert [end for end in ends if isinstance(end, int)] == [0, 4, 10]


async def test_nobody_waits_for_others_where_a_whole_round_waits() -> None:
    work = Work()
    gathering = Gathering(work, items_max=2, pause_seconds=3600)
    for _ in range(2):
        work.go.release()
    async with asyncio.timeout(20):
        assert await asyncio.gather(*(gathering.add(number) for number in range(4))) == [0, 2, 4, 6]


async def test_work_that_answers_for_too_few_fails_them_and_nobody_after_them() -> None:
    async def work(items: Sequence[int]) -> Sequence[int]:
        return [item for item in items if item != 2]

    gathering = Gathering(work, items_max=10)
    ends = await asyncio.gather(*(gathering.add(number) for number in range(4)), return_exceptions=True)
    assert [repr(end) for end in ends] == ["RuntimeError('3 ends of 4 items')"] * 4
    assert await gathering.add(5) == 5


async def test_a_round_is_of_one_key_and_goes_on_in_the_trace_of_its_first_item() -> None:
    rounds = []

    async def work(key: str, items: Sequence[int]) -> Sequence[int]:
        rounds.append((key, list(items), trace.trace_id()))
        await asyncio.sleep(0)
        return items

    async def add(key: str, item: int) -> int:
        trace.enter(trace.of(f"{item:032x}"))
        return await gatherings.add(key, item)

    gatherings = Gatherings(work, items_max=2)
    ends = await asyncio.gather(*(add(key, item) for key, item in (("a", 1), ("a", 2), ("b", 3), ("a", 4), ("a", 5))))
    assert ends == [1, 2, 3, 4, 5]
    expected = [("a", [1, 2]), ("a", [4, 5]), ("b", [3])]
    assert sorted(rounds) == sorted((key, items, f"{items[0]:032x}") for key, items in expected)
