"""Statements over what customers text: the arrivals, whom they are for, and how far each is obeyed."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import UTC

from sqlalchemy import Boolean, delete, func, literal_column, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from astronote.sender.v1.events_pb2 import InboundReceived
from astronote.sender.v1.inbound_pb2 import InboundText, ListInboundRequest
from kit import rows
from kit.rows import AnyRow, one_of
from kit.store import Store
from services.sender.errors import InboundNotFound
from services.sender.inbound import Arrival
from services.sender.tables import arrivals, inbound_texts, sender_numbers

SHOWN = rows.columns(InboundText, inbound_texts)
DAYS = "interval '90 days'"
# The day by which a use may be older than it is written.
_USERS = text(f"""
    SELECT merchant_id FROM sender_numbers WHERE number = :to AND use_time > :time - {DAYS} - interval '1 day'
""")
# What the provider may have had by then. Whoever texted last comes first.
_TEXTED = text(f"""
    SELECT merchant_id FROM messages
    WHERE "to" = :phone AND submit_time BETWEEN :time - {DAYS} AND :time AND state NOT IN ('REJECTED', 'SKIPPED')
    GROUP BY merchant_id ORDER BY max(submit_time) DESC
""")
# A START waits for the STOPs before it; nothing else waits for anything.
_TAKE = text("""
    UPDATE inbound_texts SET due_time = now() + make_interval(secs => :seconds)
    WHERE id = ANY (ARRAY(
        SELECT id FROM inbound_texts t
        WHERE state = 'PENDING' AND due_time <= now() AND NOT (kind = 'START' AND EXISTS (
            SELECT FROM inbound_texts s WHERE s.merchant_id = t.merchant_id AND s.phone = t.phone
               AND s.kind = 'STOP' AND s.state = 'PENDING' AND s.receive_time <= t.receive_time
        ))
        ORDER BY due_time LIMIT :limit FOR UPDATE SKIP LOCKED
    ))
    RETURNING id, merchant_id, phone, "to", kind, receive_time
""").columns(*(inbound_texts.c[name] for name in ("id", "merchant_id", "phone", "to", "kind", "receive_time")))

_NEXT_LOOK = text("""
    CASE WHEN receive_time > now() - make_interval(secs => :seconds_max)
         THEN now() + greatest(interval '10 seconds', (now() - receive_time) / 2) END
""")


class InboundStatements(Store):
    async def use_number(self, number: str, merchant_id: str) -> None:
        """Notes, once a day, that a merchant texts from a number."""
        used = insert(sender_numbers).values(number=number, merchant_id=merchant_id)
        is_old = sender_numbers.c.use_time < func.now() - text("interval '1 day'")
        again = used.on_conflict_do_update(
            index_elements=["number", "merchant_id"], set_={"use_time": func.now()}, where=is_old
        )
        await self.connection.execute(again)

    async def keep_arrivals(self, found: Iterable[Arrival]) -> None:
        """A repeat changes nothing, but that a STOP is obeyed once more: a START may have come between the two."""
        kept = insert(arrivals).values([asdict(arrival) | {"look_time": arrival.receive_time} for arrival in found])
        again = {name: kept.excluded[name] for name in ("receive_time", "look_time")}
        is_stop = arrivals.c.kind == InboundText.STOP
        await self.connection.execute(kept.on_conflict_do_update(index_elements=["key"], set_=again, where=is_stop))

    async def take_arrivals(self, seconds_max: float, limit: int) -> list[AnyRow]:
        """Arrivals for which somebody has to be looked for, until they are so old. The next look waits half as long
        again as they are old.
        """
        due = (
            select(arrivals.c.key)
            .where(arrivals.c.look_time <= func.now())
            .order_by(arrivals.c.look_time)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        taken = update(arrivals).where(one_of(arrivals.c.key, due)).values(look_time=_NEXT_LOOK)
        found = await self.connection.execute(taken.returning(arrivals), {"seconds_max": seconds_max})
        return list(found.all())

    async def users(self, arrival: AnyRow) -> Sequence[str]:
        """Merchants who texted from the number that was written to, in the 90 days before."""
        found = await self.connection.execute(_USERS, {"to": arrival.to, "time": arrival.receive_time})
        return [str(id) for id in found.scalars()]

    async def texted(self, arrival: AnyRow) -> Sequence[str]:
        """Merchants who texted the phone in the 90 days before, the last one first."""
        found = await self.connection.execute(_TEXTED, {"phone": arrival.phone, "time": arrival.receive_time})
        return [str(id) for id in found.scalars()]

    async def add_inbound(self, arrival: AnyRow, merchant_id: str, state: InboundText.State.ValueType) -> bool:
        """Shows an arrival to a merchant; false where it was before. A STOP that was repeated is to be obeyed again."""
        names = ("key", "phone", "to", "text", "kind", "receive_time")
        row = {name: arrival._mapping[name] for name in names} | {"merchant_id": merchant_id, "state": state}
        added = insert(inbound_texts).values(row)
        again = {"receive_time": added.excluded.receive_time, "state": state, "due_time": func.now()}
        is_repeated = inbound_texts.c.receive_time < added.excluded.receive_time
        added = added.on_conflict_do_update(index_elements=["key", "merchant_id"], set_=again, where=is_repeated)
        is_new = literal_column("xmax = 0", Boolean).label("is_new")
        found = (await self.connection.execute(added.returning(inbound_texts.c.id, is_new))).one_or_none()
        if found is None or not found.is_new:
            return False
        event = InboundReceived(inbound_id=found.id, merchant_id=merchant_id, kind=arrival.kind)
        event.receive_time.FromDatetime(arrival.receive_time)
        await self.emit(event)
        return True

    async def take_pending(self, limit: int, seconds: float) -> list[AnyRow]:
        """Texts that are to be obeyed; nobody else takes them for so many seconds."""
        return list((await self.connection.execute(_TAKE, {"limit": limit, "seconds": seconds})).all())

    async def stopping(self, merchant_id: str) -> frozenset[str]:
        """Phones whose opt-out contacts has not heard of yet. To be read before contacts is asked."""
        is_stop = (inbound_texts.c.kind == InboundText.STOP) | inbound_texts.c.opt_out
        waiting = (inbound_texts.c.merchant_id == merchant_id, inbound_texts.c.state == InboundText.PENDING, is_stop)
        return frozenset((await self.connection.execute(select(inbound_texts.c.phone).where(*waiting))).scalars())

    async def put_back(self, ids: Sequence[int], seconds: float) -> None:
        """They are tried again after so many seconds."""
        later = func.now() + func.make_interval(0, 0, 0, 0, 0, 0, seconds)
        await self.connection.execute(update(inbound_texts).where(inbound_texts.c.id.in_(ids)).values(due_time=later))

    async def obeyed(self, taken: Sequence[AnyRow]) -> None:
        """They are done, unless they were repeated meanwhile."""
        same = tuple_(inbound_texts.c.id, inbound_texts.c.receive_time)
        done = update(inbound_texts).where(same.in_([(each.id, each.receive_time) for each in taken]))
        await self.connection.execute(done.values(state=InboundText.DONE, finish_time=func.now()))

    async def inbound_page(self, filters: ListInboundRequest, before: int | None, limit: int) -> list[InboundText]:
        """Newest first."""
        query = select(*SHOWN).where(inbound_texts.c.merchant_id == self.merchant_id)
        if before is not None:
            query = query.where(inbound_texts.c.id < before)
        if filters.phone:
            query = query.where(inbound_texts.c.phone == filters.phone)
        if filters.state:
            query = query.where(inbound_texts.c.state == filters.state)
        if filters.kind:
            query = query.where(inbound_texts.c.kind == filters.kind)
        if filters.HasField("since_time"):
            query = query.where(inbound_texts.c.receive_time >= filters.since_time.ToDatetime(tzinfo=UTC))
        found = await self.connection.execute(query.order_by(inbound_texts.c.id.desc()).limit(limit))
        return [rows.message(InboundText, row) for row in found]

    async def lock_inbound(self, id: int) -> InboundText:
        """Refuses `InboundNotFound`."""
        mine = (inbound_texts.c.id == id, inbound_texts.c.merchant_id == self.merchant_id)
        row = (await self.connection.execute(select(*SHOWN).where(*mine).with_for_update())).one_or_none()
        if row is None:
            raise InboundNotFound(id=id)
        return rows.message(InboundText, row)

    async def resolve_inbound(self, id: int, *, opt_out: bool) -> InboundText:
        """What a person made of a locked text; an opt-out has to be passed on."""
        mine = (inbound_texts.c.id == id, inbound_texts.c.merchant_id == self.merchant_id)
        clear = {"state": InboundText.DONE, "finish_time": func.now()}
        values = {"state": InboundText.PENDING, "opt_out": True, "due_time": func.now()} if opt_out else clear
        resolved = update(inbound_texts).where(*mine).values(values).returning(*SHOWN)
        return rows.message(InboundText, (await self.connection.execute(resolved)).one())

    async def drop_arrivals(self, seconds: float, limit: int) -> int:
        """Deletes arrivals that are so old; what merchants were shown of them stays."""
        old = arrivals.c.receive_time < func.now() - func.make_interval(0, 0, 0, 0, 0, 0, seconds)
        due = select(arrivals.c.key).where(old).order_by(arrivals.c.receive_time).limit(limit)
        return (
            await self.connection.execute(delete(arrivals).where(arrivals.c.key.in_(due.scalar_subquery())))
        ).rowcount
