"""Statements over the journal of Stripe's events."""

from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from astronote.wallet.v1.billing_pb2 import StripeEvent
from kit import rows
from kit.rows import one_of
from kit.store import Store
from services.wallet.store import numbered
from services.wallet.tables import looks, stripe_events, stripe_repairs

REPAIR = "events"


class Taken(NamedTuple):
    """An event in hand, and the number of the look that it leads to."""

    id: str
    body: bytes
    tries: int
    look: int


class StripeEventStatements(Store):
    async def look(self) -> int:
        """The number of a look at Stripe that begins now."""
        return int((await self.connection.execute(select(looks.next_value()))).scalar_one())

    async def keep_event(self, id: str, type: str, body: bytes, now: datetime) -> bool:
        """False where it is there."""
        row = {"id": id, "type": type, "body": body, "state": StripeEvent.PENDING, "create_time": now, "due_time": now}
        result = await self.connection.execute(insert(stripe_events).values(row).on_conflict_do_nothing())
        return bool(result.rowcount)

    async def take_events(self, now: datetime, lease_seconds: float, limit: int) -> list[Taken]:
        """Those that are due, the oldest first; nobody else's for so long."""
        due = (
            select(stripe_events.c.id)
            .where(stripe_events.c.state == StripeEvent.PENDING, stripe_events.c.due_time <= now)
            .order_by(stripe_events.c.due_time)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        taken = (
            update(stripe_events)
            .where(one_of(stripe_events.c.id, due))
            .values(tries=stripe_events.c.tries + 1, due_time=now + timedelta(seconds=lease_seconds))
            .returning(stripe_events.c.id, stripe_events.c.body, stripe_events.c.tries, looks.next_value())
        )
        return [Taken(*row) for row in await self.connection.execute(taken)]

    async def event_handled(self, id: str, state: "StripeEvent.State.ValueType", now: datetime) -> None:
        await self._change_event(id, state=state, error="", handle_time=now)

    async def event_failed(self, id: str, error: str, due: datetime) -> None:
        await self._change_event(id, error=error, due_time=due)

    async def event_dead(self, id: str, error: str) -> None:
        await self._change_event(id, state=StripeEvent.DEAD, error=error)

    async def event_page(
        self, state: "StripeEvent.State.ValueType", before: int | None, limit: int
    ) -> list[tuple[int, StripeEvent]]:
        """With their numbers, newest first."""
        query = select(stripe_events.c.number, *rows.columns(StripeEvent, stripe_events))
        if state:
            query = query.where(stripe_events.c.state == state)
        if before is not None:
            query = query.where(stripe_events.c.number < before)
        query = query.order_by(stripe_events.c.number.desc()).limit(limit)
        return [numbered.message(StripeEvent, row) for row in await self.connection.execute(query)]

    async def replay_events(
        self, start: datetime, end: datetime, state: "StripeEvent.State.ValueType", now: datetime
    ) -> int:
        """Makes those of a range of time due; what is due anyway is meant only where its state is named."""
        replayed = update(stripe_events).where(stripe_events.c.create_time >= start, stripe_events.c.create_time < end)
        replayed = replayed.where(
            stripe_events.c.state == state if state else stripe_events.c.state != StripeEvent.PENDING
        )
        values = {"state": StripeEvent.PENDING, "tries": 0, "error": "", "due_time": now}
        return (await self.connection.execute(replayed.values(values))).rowcount

    async def drop_events(self, seconds: float, limit: int) -> int:
        """Deletes what was handled or ignored, and is so old."""
        age = func.make_interval(0, 0, 0, 0, 0, 0, seconds)
        is_done = stripe_events.c.state.in_([StripeEvent.HANDLED, StripeEvent.IGNORED])
        old = select(stripe_events.c.id).where(is_done, stripe_events.c.create_time < func.now() - age).limit(limit)
        return (await self.connection.execute(delete(stripe_events).where(stripe_events.c.id.in_(old)))).rowcount

    async def take_repair(self, now: datetime, lease_seconds: float, interval_seconds: float) -> datetime | None:
        """From when on events may be missing, where it is time to look; nobody else looks for so long.

        The first time there is nothing to repair, and the clock is set.
        """
        row = {"name": REPAIR, "end_time": now, "due_time": now + timedelta(seconds=interval_seconds)}
        await self.connection.execute(insert(stripe_repairs).values(row).on_conflict_do_nothing())
        taken = (
            update(stripe_repairs)
            .where(stripe_repairs.c.name == REPAIR, stripe_repairs.c.due_time <= now)
            .values(due_time=now + timedelta(seconds=lease_seconds))
            .returning(stripe_repairs.c.end_time)
        )
        found: datetime | None = (await self.connection.execute(taken)).scalar_one_or_none()
        return found

    async def repaired(self, end: datetime, due: datetime) -> None:
        done = update(stripe_repairs).where(stripe_repairs.c.name == REPAIR).values(end_time=end, due_time=due)
        await self.connection.execute(done)

    async def _change_event(self, id: str, **values: Any) -> None:
        await self.connection.execute(update(stripe_events).where(stripe_events.c.id == id).values(values))
