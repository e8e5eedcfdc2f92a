"""Statements over single texts."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Update, delete, func, select, text, true, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from astronote.sender.v1.batches_pb2 import SendBatch
from astronote.sender.v1.sender_pb2 import Message, SendMessageRequest
from kit import trace
from kit.rows import AnyRow, one_of
from kit.store import Store
from services.sender.tables import attempts, batches, messages, metadata, singles

# The messages of a row, by the layout of their ids.
_ITS_MESSAGES = messages.c.id.between(singles.c.batch_id * (1 << 17), singles.c.batch_id * (1 << 17) + (1 << 17) - 1)
# What has an id of the provider's, or was opened, was accepted, and is charged whatever became of it.
_IS_ACCEPTED = messages.c.provider_message_id.is_not(None) | messages.c.link_open_time.is_not(None)
_STAND = (
    select(
        func.count().filter(messages.c.state == Message.QUEUED).label("queued"),
        func.count().filter(messages.c.state == Message.UNKNOWN).label("unknown"),
        func.coalesce(func.sum(messages.c.credits).filter(_IS_ACCEPTED), 0).label("captured"),
    )
    .where(_ITS_MESSAGES)
    .lateral("stand")
)
# What a row needs to be looked after: itself, and how its messages stand.
_CARE = select(*singles.c, *_STAND.c).join(_STAND, true())
_LEAVE_OUT = text("SELECT max(nextval('singles_batch_id_seq')) FROM generate_series(1, :count)")


class SingleStatements(Store):
    async def next_single_id(self) -> int:
        return int(await self.connection.scalar(text("SELECT nextval('singles_batch_id_seq')")) or 0)

    async def add_single(self, batch: SendBatch, request_ids: Sequence[str], due_seconds: float) -> AnyRow:
        """Keeps texts that are to be paid for, and shows them as queued."""
        row = {
            "batch_id": batch.batch_id,
            "merchant_id": batch.merchant_id,
            "request_id": "",
            "request_ids": list(filter(None, request_ids)),
            "hold_id": batch.hold_id,
            "amount": sum(recipient.credits for recipient in batch.recipients),
            "payload": batch.SerializeToString(),
            "due_time": _after(due_seconds),
            "traceparent": trace.current(),
        }
        queued = [
            {
                "id": batch.first_message_id + index,
                "merchant_id": batch.merchant_id,
                "to": recipient.phone,
                "text": recipient.text,
                "segments": recipient.segments,
                "credits": recipient.credits,
                "state": Message.QUEUED,
                "error": "",
            }
            for index, recipient in enumerate(batch.recipients)
        ]
        await self.connection.execute(insert(messages).inline(), queued)
        single: AnyRow = (await self.connection.execute(insert(singles).values(row).returning(*singles.c))).one()
        return single

    async def single(self, batch_id: int) -> AnyRow | None:
        """None once its books are closed."""
        query = select(singles).where(singles.c.batch_id == batch_id)
        return (await self.connection.execute(query)).one_or_none()

    async def take_singles(self, limit: int, seconds: float) -> list[AnyRow]:
        """Those that somebody has to look after; nobody else does so for so many seconds."""
        due = (
            select(singles.c.batch_id)
            .where(singles.c.due_time < func.now())
            .order_by(singles.c.due_time)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        taken = update(singles).where(one_of(singles.c.batch_id, due))
        values = {"due_time": _after(seconds), "generation": singles.c.generation + 1}
        ids = (await self.connection.execute(taken.values(values).returning(singles.c.batch_id))).scalars().all()
        return list((await self.connection.execute(_CARE.where(singles.c.batch_id.in_(ids)))).all())

    async def pay_single(self, single: AnyRow) -> bool:
        """It is paid for, and due; false where it never was. Where it was refused and forgotten before it was paid for,
        its row comes again, or is looked after again, so that the hold is closed.
        """
        paid = {"state": "PAID", "due_time": func.now()}
        result = await self.connection.execute(_prepared(single.batch_id).values(paid))
        if not result.rowcount:
            row = {column.name: single._mapping[column.name] for column in singles.c}
            due = {"due_time": func.now(), "generation": singles.c.generation + 1}
            again = insert(singles).values(row | {"state": "REFUSED", "due_time": func.now()})
            await self.connection.execute(
                again.on_conflict_do_update(index_elements=["batch_id"], set_=due, where=singles.c.state == "REFUSED")
            )
        return await self.stands(single.batch_id)

    async def leave_single(self, batch_id: int) -> bool:
        """It is paid for later, and its callers are told that it is queued; false where it never was."""
        await self.connection.execute(_prepared(batch_id).values(is_answered=True))
        return await self.stands(batch_id)

    async def refuse_single(self, single: AnyRow, reason: str, *, is_told: bool) -> bool:
        """The wallet does not pay for it; false where it never was, since its caller is told, and nobody was told that
        it is queued. Else its messages say so, unless it was paid for meanwhile.
        """
        refused = _prepared(single.batch_id).values(state="REFUSED").returning(singles.c.is_answered)
        is_answered = await self.connection.scalar(refused)
        if is_answered is None:
            return await self.stands(single.batch_id)
        if is_answered or not is_told:
            await self._reject(single, reason.lower())
            return True
        await self.connection.execute(delete(messages).where(*_queued(single.batch_id)))
        requests = metadata.tables["requests"]
        names = {"merchant_id": single.merchant_id, "method": SendMessageRequest.DESCRIPTOR.name}
        its_own = requests.c.request_id.in_([single.request_id, *single.request_ids])
        await self.connection.execute(delete(requests).filter_by(**names).where(its_own))
        return False

    async def stands(self, batch_id: int) -> bool:
        """Whether its messages are there, whatever became of them."""
        return bool(await self.connection.scalar(select(select(messages.c.id).where(_mine(batch_id)).exists())))

    async def reject_waiting(self, reason: str, limit: int) -> int:
        """Gives up single texts that have not been submitted, so many at most; what is being submitted stays."""
        is_open = (attempts.c.batch_id == singles.c.batch_id, attempts.c.state == "OPEN")
        waiting = (
            select(singles.c.batch_id, singles.c.merchant_id)
            .where(singles.c.state != "REFUSED")
            .where(select(messages.c.id).where(_ITS_MESSAGES, messages.c.state == Message.QUEUED).exists())
            .where(~select(attempts.c.id).where(*is_open).exists())
            .limit(limit)
            .with_for_update(of=singles)
        )
        found = (await self.connection.execute(waiting)).all()
        for single in found:
            mine = singles.c.batch_id == single.batch_id
            await self.connection.execute(update(singles).where(mine).values(state="REFUSED", due_time=func.now()))
            await self._reject(single, reason)
        return len(found)

    async def leave_out_single_ids(self, count: int) -> None:
        """So many ids are given to none."""
        await self.connection.execute(_LEAVE_OUT, {"count": count})

    async def _reject(self, single: AnyRow, reason: str) -> None:
        """No sender will have it: here it is done."""
        values = {"state": Message.REJECTED, "error": reason, "finish_time": func.now()}
        await self.connection.execute(update(messages).where(*_queued(single.batch_id)).values(values))
        count = await self.connection.scalar(select(func.count()).where(_mine(single.batch_id)))
        done = {"id": single.batch_id, "merchant_id": single.merchant_id, "state": "DONE", "lease_id": ""}
        done |= {"recipient_count": count, "next_index": count, "lease_expire_time": func.now()}
        kept = insert(batches).values(done)
        await self.connection.execute(kept.on_conflict_do_update(index_elements=["id"], set_=done))

    async def drop_singles(self, closed: Sequence[AnyRow]) -> None:
        """Their books are closed, where nobody has looked after them since."""
        those = tuple_(singles.c.batch_id, singles.c.generation).in_([(row.batch_id, row.generation) for row in closed])
        await self.connection.execute(delete(singles).where(those))


def _prepared(batch_id: int) -> "Update":
    return update(singles).where(singles.c.batch_id == batch_id, singles.c.state == "PREPARED")


def _queued(batch_id: int) -> "tuple[ColumnElement[bool], ...]":
    return _mine(batch_id), messages.c.state == Message.QUEUED


def _mine(batch_id: int) -> "ColumnElement[bool]":
    first_id = batch_id << 17
    return messages.c.id.between(first_id, first_id + (1 << 17) - 1)


def _after(seconds: float) -> object:
    return func.now() + func.make_interval(0, 0, 0, 0, 0, 0, seconds)
