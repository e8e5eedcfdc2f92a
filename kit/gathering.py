"""What costs as much for one as for many is done for all who came while the last round was in hand (group commit)."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable, Sequence
from contextvars import Context, copy_context
from functools import partial
from typing import Any, Generic, TypeAlias, TypeVar
from weakref import WeakValueDictionary

from kit.errors import DomainError

Item = TypeVar("Item")
End = TypeVar("End")
Key = TypeVar("Key", bound=Hashable)
Ends: TypeAlias = Coroutine[Any, Any, Sequence[End | DomainError]]


class Gathering(Generic[Item, End]):
    """`work` answers for each item of a round, in their order, with what it ends in or is refused with; what it raises
    is raised for each of them.

    One round at a time: who comes alone goes at once; after a round of several comes a pause of so many seconds, in
    which those who were answered come again, unless a whole round waits already. Who stops waiting before its round is
    left out of it; in a round it is worked for nonetheless. A round goes on in the trace of its first item.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Ends[End]],
        items_max: int,
        pause_seconds: float = 0,
    ) -> None:
        self._work, self._items_max, self._pause_seconds = work, items_max, pause_seconds
        self._waiting: list[tuple[Item, asyncio.Future[End], Context]] = []
        self._rounds: asyncio.Task[None] | None = None

    async def add(self, item: Item) -> End:
        end: asyncio.Future[End] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, end, copy_context()))
        if self._rounds is None:
            self._rounds = asyncio.create_task(self._run())
        return await end

    async def _run(self) -> None:
        while taken := self._taken():
            work = self._ends([item for item, _, _ in taken])
            (found,) = await asyncio.gather(asyncio.create_task(work, context=taken[0][2]), return_exceptions=True)
            ends = [found] * len(taken) if isinstance(found, BaseException) else found
            for (_, awaited, _), end in zip(taken, ends, strict=True):
                if awaited.cancelled():
                    continue
                if isinstance(end, BaseException):
                    awaited.set_exception(end)
                else:
                    awaited.set_result(end)
            if len(taken) > 1 and len(self._waiting) < self._items_max:
                await asyncio.sleep(self._pause_seconds)
        self._rounds = None

    def _taken(self) -> "list[tuple[Item, asyncio.Future[End], Context]]":
        waiting = [each for each in self._waiting if not each[1].cancelled()]
        self._waiting = waiting[self._items_max :]
        return waiting[: self._items_max]

    async def _ends(self, items: Sequence[Item]) -> "Sequence[End | DomainError]":
        ends = await self._work(items)
        if len(ends) != len(items):
            raise RuntimeError(f"{len(ends)} ends of {len(items)} items")
        return ends


class Gatherings(Generic[Key, Item, End]):
    """A `Gathering` for each key, for as long as anybody waits for it."""

    def __init__(
        self, work: Callable[[Key, Sequence[Item]], Ends[End]], items_max: int, pause_seconds: float = 0
    ) -> None:
        self._work, self._items_max, self._pause_seconds = work, items_max, pause_seconds
        self._gatherings: WeakValueDictionary[Key, Gathering[Item, End]] = WeakValueDictionary()

    async def add(self, key: Key, item: Item) -> End:
        new = Gathering(partial(self._work, key), self._items_max, self._pause_seconds)
        return await self._gatherings.setdefault(key, new).add(item)
