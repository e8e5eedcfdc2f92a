"""What costs as much for one as for many is done for all who came while the last round was in hand (group commit)."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from kit.errors import DomainError

Item = TypeVar("Item")
End = TypeVar("End")


class Gathering(Generic[Item, End]):
    """`work` answers for each item of a round, in their order, with what it ends in or is refused with; what it raises
    is raised for each of them.

    One round at a time: who comes alone goes at once; after a round of several comes a pause of so many seconds, in
    which those who were answered come again. Who stops waiting is worked for nonetheless.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Awaitable[Sequence[End | DomainError]]],
        items_max: int,
        pause_seconds: float = 0,
    ) -> None:
        self._work, self._items_max, self._pause_seconds = work, items_max, pause_seconds
        self._waiting: list[tuple[Item, asyncio.Future[End]]] = []
        self._rounds: asyncio.Task[None] | None = None

    async def add(self, item: Item) -> End:
        end: asyncio.Future[End] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, end))
        if self._rounds is None:
            self._rounds = asyncio.create_task(self._run())
        return await end

    async def _run(self) -> None:
        while self._waiting:
            taken, self._waiting = self._waiting[: self._items_max], self._waiting[self._items_max :]
            (found,) = await asyncio.gather(self._work([item for item, _ in taken]), return_exceptions=True)
            ends = [found] * len(taken) if isinstance(found, BaseException) else found
            for (_, waiting), end in zip(taken, ends, strict=True):
                if waiting.cancelled():
                    continue
                if isinstance(end, BaseException):
                    waiting.set_exception(end)
                else:
                    waiting.set_result(end)
            if len(taken) > 1:
                await asyncio.sleep(self._pause_seconds)
        self._rounds = None
