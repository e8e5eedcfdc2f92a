"""Statements of the send path: take, intent, record. Each is one short transaction; none is open while the provider
is called.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import case, delete, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert

from astronote.sender.v1.batches_pb2 import SendBatch
from astronote.sender.v1.events_pb2 import BatchFinished, MessageOutcomes
from astronote.sender.v1.sender_pb2 import Message
from kit.rows import AnyRow
from services.sender import outcomes
from services.sender.outcomes import Result
from services.sender.store.inbound import InboundStatements
from services.sender.store.messages import MessageStatements
from services.sender.store.tallies import TallyStatements
from services.sender.tables import attempts, batches, parked_reports, webhooks


class LeaseLostError(Exception):
    """Somebody else has the batch now."""


@dataclass(frozen=True)
class Lease:
    """A batch in hand."""

    batch_id: int
    id: str
    seconds: float

    def until(self) -> "object":
        return func.now() + text(f"interval '{self.seconds} seconds'")


class AttemptStatements(InboundStatements, MessageStatements, TallyStatements):
    async def take(self, batch: SendBatch, lease: Lease) -> AnyRow | None:
        """The batch as it stands, now ours; none when it is done or another sender has it."""
        row = {
            "id": batch.batch_id,
            "merchant_id": batch.merchant_id,
            "campaign_id": batch.campaign_id or None,
            "recipient_count": len(batch.recipients),
            "lease_id": lease.id,
            "lease_expire_time": lease.until(),
        }
        free = (batches.c.state == "OPEN") & (batches.c.lease_expire_time < func.now())
        lent = {"lease_id": lease.id, "lease_expire_time": lease.until()}
        taken = insert(batches).values(row).on_conflict_do_update(index_elements=["id"], set_=lent, where=free)
        found: AnyRow | None = (await self.connection.execute(taken.returning(batches))).one_or_none()
        return found

    async def batch(self, lease: Lease) -> AnyRow:
        return (await self.connection.execute(select(batches).where(batches.c.id == lease.batch_id))).one()

    async def is_done(self, batch_id: int) -> bool:
        state = await self.connection.scalar(select(batches.c.state).where(batches.c.id == batch_id))
        return state == "DONE"

    async def open_attempt(self, batch_id: int) -> AnyRow | None:
        """The attempt of a batch that has no outcome, locked."""
        query = select(attempts).where(attempts.c.batch_id == batch_id, attempts.c.state == "OPEN")
        return (await self.connection.execute(query.with_for_update())).one_or_none()

    async def begin_attempt(self, id: str, batch: SendBatch, lease: Lease, recipient_count: int) -> None:
        """Says what is about to be submitted. Raises `LeaseLostError`."""
        mine = (batches.c.id == lease.batch_id, batches.c.lease_id == lease.id, batches.c.state == "OPEN")
        kept = update(batches).where(*mine).values(lease_expire_time=lease.until()).returning(batches.c.next_index)
        first_index = (await self.connection.execute(kept)).scalar_one_or_none()
        if first_index is None:
            raise LeaseLostError(lease.batch_id)
        row = {
            "id": id,
            "merchant_id": batch.merchant_id,
            "campaign_id": batch.campaign_id or None,
            "batch_id": batch.batch_id,
            "hold_id": batch.hold_id,
            "first_message_id": batch.first_message_id + first_index,
            "first_index": first_index,
            "recipient_count": recipient_count,
            "skipped_indexes": [],
        }
        await self.connection.execute(insert(attempts).values(row))
        if batch.sender_name.startswith("+"):
            await self.use_number(batch.sender_name, batch.merchant_id)

    async def leave_out(self, id: str, indexes: list[int]) -> None:
        """These recipients are not submitted in an attempt. Raises `LeaseLostError` where it was given up."""
        mine = (attempts.c.id == id, attempts.c.state == "OPEN")
        if not (await self.connection.execute(update(attempts).where(*mine).values(skipped_indexes=indexes))).rowcount:
            raise LeaseLostError(id)

    async def take_back(self, id: str) -> None:
        """Forgets an attempt of which no byte has left, unless it was given up meanwhile."""
        await self.connection.execute(delete(attempts).where(attempts.c.id == id, attempts.c.state == "OPEN"))

    async def lock_attempt(self, id: str) -> AnyRow:
        """The batch first, as in `take` and `begin_attempt`."""
        batch_id = select(attempts.c.batch_id).where(attempts.c.id == id).scalar_subquery()
        await self.connection.execute(select(batches.c.id).where(batches.c.id == batch_id).with_for_update())
        return (await self.connection.execute(select(attempts).where(attempts.c.id == id).with_for_update())).one()

    async def record(
        self, attempt: AnyRow, state: str, detail: str, batch: SendBatch, results: Sequence[Result]
    ) -> None:
        """The outcome of an attempt: its messages, the tally, the settlement, and the progress of its batch."""
        change = outcomes.change(results)
        waits = state in ("ACCEPTED", "UNKNOWN")
        finished = update(attempts).where(attempts.c.id == attempt.id)
        values = {"state": state, "detail": detail[:500], "finish_time": func.now(), "contact_ids": None}
        await self.connection.execute(finished.values(values if waits else values | {"close_time": func.now()}))
        await self.add_messages(batch, attempt.id, attempt.create_time, results)
        # The plain key stays free for the day when an unknown attempt turns out to have been accepted.
        key = f"{attempt.id}:skipped" if state == "UNKNOWN" else attempt.id
        await self.settle(key, batch.merchant_id, batch.hold_id, change)
        await self.advance(batch, attempt.first_index + attempt.recipient_count)
        await self._say_accepted(attempt, results)
        await self.add_to_tally(batch.merchant_id, batch.campaign_id, change)

    async def skip_rest(self, batch: SendBatch, lease: Lease, results: Sequence[Result]) -> None:
        """What is left of a cancelled batch is skipped, without an attempt. Raises `LeaseLostError`."""
        mine = (batches.c.id == lease.batch_id, batches.c.lease_id == lease.id, batches.c.state == "OPEN")
        held = (await self.connection.execute(select(batches.c.id).where(*mine).with_for_update())).one_or_none()
        if held is None:
            raise LeaseLostError(lease.batch_id)
        change = outcomes.change(results)
        await self.add_messages(batch, None, None, results)
        await self.settle(f"{batch.batch_id}:cancelled", batch.merchant_id, batch.hold_id, change)
        await self.advance(batch, len(batch.recipients))
        await self.add_to_tally(batch.merchant_id, batch.campaign_id, change)

    async def not_sent(self, attempt: AnyRow, detail: str, *, counts: bool) -> None:
        """The provider is known not to have it: the batch goes back, as it was."""
        over = {"finish_time": func.now(), "close_time": func.now(), "contact_ids": None}
        values = {"state": "NOT_SENT", "detail": detail[:500], **over}
        await self.connection.execute(update(attempts).where(attempts.c.id == attempt.id).values(values))
        again = update(batches).where(batches.c.id == attempt.batch_id)
        await self.connection.execute(again.values(tries=batches.c.tries + int(counts)))

    async def accept_late(self, attempt: AnyRow, batch: SendBatch, results: Sequence[Result]) -> None:
        """An attempt that was given up as unknown turns out to have an outcome: its id is the proof."""
        done = update(attempts).where(attempts.c.id == attempt.id)
        await self.connection.execute(done.values(state="ACCEPTED", detail="late", finish_time=func.now()))
        change = await self.resolve_unknown(batch.first_message_id, results)
        await self.settle(attempt.id, batch.merchant_id, batch.hold_id, change)
        await self._say_accepted(attempt, results)
        await self.add_to_tally(batch.merchant_id, batch.campaign_id, change)

    async def _say_accepted(self, attempt: AnyRow, results: Sequence[Result]) -> None:
        accepted = b"".join(result.recipient.contact_id for result in results if result.state == Message.ACCEPTED)
        await self.say_outcomes(attempt.merchant_id, MessageOutcomes.ACCEPTED, attempt.create_time, accepted)

    async def release_lease(self, lease: Lease) -> None:
        mine = (batches.c.id == lease.batch_id, batches.c.lease_id == lease.id)
        await self.connection.execute(update(batches).where(*mine).values(lease_expire_time=text("'epoch'")))

    async def forget(self, lease: Lease) -> None:
        """Drops a batch that was cancelled before it was begun."""
        mine = (batches.c.id == lease.batch_id, batches.c.lease_id == lease.id, batches.c.next_index == 0)
        await self.connection.execute(batches.delete().where(*mine))

    async def advance(self, batch: SendBatch, next_index: int) -> None:
        """Everybody before `next_index` has an outcome; with the last one the batch is done."""
        is_done = next_index == len(batch.recipients)
        values = {
            "next_index": next_index,
            "tries": 0,
            "state": "DONE" if is_done else "OPEN",
            "advance_time": func.now(),
        }
        await self.connection.execute(update(batches).where(batches.c.id == batch.batch_id).values(values))
        if is_done and batch.campaign_id:
            names = {"campaign_id": batch.campaign_id, "merchant_id": batch.merchant_id}
            await self.emit(BatchFinished(batch_id=batch.batch_id, **names))

    async def take_expired(self, validity_seconds: float, grace_seconds: float) -> AnyRow | None:
        """An attempt whose messages have waited for a report for longer than their validity, locked; unknown ones have
        a grace beyond it. Their clock starts when they became what they are, and what reached us before it ran out is
        heard first: a report that was not applied yet, or for an unknown one a report that is still being looked up, or
        that names it and waits for its next try.
        """
        validity = func.make_interval(0, 0, 0, 0, 0, 0, validity_seconds)
        grace = func.make_interval(0, 0, 0, 0, 0, 0, case((attempts.c.state == "UNKNOWN", grace_seconds), else_=0.0))
        over = (attempts.c.finish_time < func.now() - validity, attempts.c.finish_time < func.now() - validity - grace)
        end_time = attempts.c.finish_time + validity + grace
        unheard = select(webhooks.c.id).where(webhooks.c.apply_time.is_(None), webhooks.c.create_time < end_time)
        names_it = parked_reports.c.message_id.between(
            attempts.c.first_message_id, attempts.c.first_message_id + attempts.c.recipient_count - 1
        )
        parked = select(parked_reports.c.provider_message_id).where(
            or_(parked_reports.c.lookup_time.is_not(None), names_it),
            parked_reports.c.create_time < end_time,
            attempts.c.state == "UNKNOWN",
        )
        query = select(attempts).where(attempts.c.close_time.is_(None), *over, ~unheard.exists(), ~parked.exists())
        query = query.order_by(attempts.c.finish_time).limit(1).with_for_update(skip_locked=True)
        found = await self.connection.execute(query)
        row: AnyRow | None = found.one_or_none()
        return row

    async def close_attempt(self, attempt: AnyRow) -> None:
        """Expires what is still waiting. What was accepted stays charged; what was unknown is released."""
        change = await self.expire_messages(attempt.first_message_id, attempt.recipient_count)
        await self.connection.execute(update(attempts).where(attempts.c.id == attempt.id).values(close_time=func.now()))
        await self.settle(f"{attempt.id}:expired", attempt.merchant_id, attempt.hold_id, change)
        if change.counts:
            await self.add_to_tally(attempt.merchant_id, attempt.campaign_id, change)
