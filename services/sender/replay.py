"""Applies again what was posted in a range of time: after a fault of ours, or when a status that was quarantined is
known by now. Bounded pages, a transaction each; what was applied before changes nothing.
"""

from collections import Counter
from datetime import datetime

from astronote.sender.v1 import sender_pb2 as pb
from kit import pages
from kit.store import Database
from services.sender.delivery import BODIES_A_ROUND, DLR, Applier, count
from services.sender.store import SenderStore
from services.sender.webhooks import Body

BODIES_A_CALL = 1000


class Replayer:
    def __init__(self, database: Database, applier: Applier, bodies_max: int = BODIES_A_CALL) -> None:
        self._database, self._applier, self._bodies_max = database, applier, bodies_max

    async def replay(self, start: datetime, end: datetime, page_token: str) -> pb.ReplayWebhooksResponse:
        """Refuses `PageTokenInvalid`."""
        after, moved = pages.after(page_token, _place), Counter[tuple[str, str]]()
        answer, page = pb.ReplayWebhooksResponse(), list[Body]()
        while answer.bodies < self._bodies_max:
            limit = min(BODIES_A_ROUND, self._bodies_max - answer.bodies)
            async with SenderStore.open_pipeline(self._database) as store:
                page = await store.webhook_page(DLR, start, end, after, limit)
                reading, applied = await self._applier.apply(store, page)
            count(reading, applied)
            moved += applied.moved
            answer.bodies += len(page)
            answer.reports += reading.count
            answer.quarantined += len(reading.quarantined)
            answer.parked += len(applied.absent)
            answer.next_page_token = pages.token(page, limit, lambda body: f"{body.create_time.isoformat()} {body.id}")
            if not answer.next_page_token:
                break
            after = page[-1].create_time, page[-1].id
        for (was, becomes), messages in sorted(moved.items()):
            names = pb.Message.State.Value(was), pb.Message.State.Value(becomes)
            answer.changes.add(from_state=names[0], to_state=names[1], count=messages)
        return answer


def _place(text: str) -> tuple[datetime, int]:
    """Raises ValueError for what is none."""
    time, id = text.split(" ")
    found = datetime.fromisoformat(time)
    if found.tzinfo is None:
        raise ValueError(text)
    return found, int(id)
