"""Statements over messages."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from psycopg.errors import UniqueViolation
from sqlalchemy import bindparam, delete, func, select, text

from astronote.sender.v1.batches_pb2 import SendBatch
from astronote.sender.v1.sender_pb2 import ListMessagesRequest, ListOutcomesRequest, Message, Outcome
from kit import rows
from kit.store import Store
from services.sender.errors import CampaignIdInvalid, MessageNotFound
from services.sender.outcomes import COLUMNS, Change, Result
from services.sender.tables import attempts, messages

_COPY = (
    'COPY messages (id, merchant_id, campaign_id, contact_id, attempt_id, "to", text, segments, credits, state,'
    " provider_message_id, error, submit_time, finish_time) FROM STDIN"
)
NULL = r"\N"
_NAMES = {number: name for name, number in Message.State.items()}
WAITING = frozenset({Message.ACCEPTED, Message.UNKNOWN})
SHOWN = rows.columns(Message, messages)
LISTED = [column for column in SHOWN if column.name != "text"]
_RESOLVE = text("""
    WITH current AS (
        SELECT m.id, m.state AS was, r.state, r.provider_message_id, r.error
        -- Behind SELECTs, as in `store/reports.py`.
        FROM unnest(
            (SELECT CAST(:ids AS bigint[])), (SELECT CAST(:states AS text[])),
            (SELECT CAST(:provider_ids AS text[])), (SELECT CAST(:errors AS text[]))
        ) AS r(id, state, provider_message_id, error) JOIN messages m USING (id)
        WHERE m.state = 'UNKNOWN'
           OR (m.state = 'ACCEPTED' AND m.provider_message_id IS NULL AND r.state = 'ACCEPTED')
        ORDER BY m.id
        FOR UPDATE OF m
    )
    UPDATE messages m SET state = c.state, provider_message_id = c.provider_message_id, error = c.error,
                          finish_time = CASE WHEN c.state <> 'ACCEPTED' THEN now() END
    FROM current c WHERE m.id = c.id
    RETURNING c.was, m.state, m.credits
""")
# Locked in the order of reports, so that neither waits for the other in a circle.
_EXPIRE = text("""
    WITH current AS (
        SELECT id, state FROM messages
        WHERE id BETWEEN :first_id AND :last_id AND state IN ('ACCEPTED', 'UNKNOWN')
        ORDER BY id
        FOR UPDATE
    )
    UPDATE messages m SET state = 'EXPIRED', finish_time = now(), error = 'nothing was heard of it in time'
    FROM current c WHERE m.id = c.id
    RETURNING c.state, m.credits
""")


class IdsRepeatedError(Exception):
    """The provider gave an id that another message has."""


class MessageStatements(Store):
    async def add_messages(
        self, batch: SendBatch, attempt_id: str | None, submit_time: datetime | None, results: Sequence[Result]
    ) -> None:
        """One COPY row a recipient. The primary key keeps a recipient from having two. Raises `IdsRepeatedError`."""
        if not batch.campaign_id:
            # Single texts were shown as queued; what became of them takes those rows' places.
            ids = [batch.first_message_id + result.index for result in results]
            queued = (messages.c.id.in_(ids), messages.c.state == Message.QUEUED)
            await self.connection.execute(delete(messages).where(*queued))
        now = await self.connection.scalar(select(func.now()))
        lines = "".join(_lines(batch, attempt_id, submit_time, now, results))
        try:
            async with self.driver.cursor() as cursor, cursor.copy(_COPY) as copy:
                await copy.write(lines)
        except UniqueViolation as error:
            if error.diag.constraint_name == "messages_provider_message_id_key":
                raise IdsRepeatedError from error
            raise

    async def resolve_unknown(self, first_message_id: int, results: Sequence[Result]) -> Change:
        """What evidence makes of messages that are unknown; of others it tells the id at most, where none is known."""
        found = await self.connection.execute(
            _RESOLVE,
            {
                "ids": [first_message_id + result.index for result in results],
                "states": [Message.State.Name(result.state) for result in results],
                "provider_ids": [result.provider_message_id for result in results],
                "errors": [result.error for result in results],
            },
        )
        change = Change()
        for was, state, credits in found:
            if was == state:
                continue
            change.add("unknown", -1)
            change.add(COLUMNS[Message.State.Value(state)], 1)
            if state == "ACCEPTED":
                change.captured += credits
            else:
                change.released += credits
        return change

    async def expire_messages(self, first_id: int, count: int) -> Change:
        """Ends the wait of the messages in a range of ids. What was unknown is released."""
        change = Change()
        for state, credits in await self.connection.execute(
            _EXPIRE, {"first_id": first_id, "last_id": first_id + count - 1}
        ):
            change.add(state.lower(), -1)
            change.add("expired", 1)
            if state == "UNKNOWN":
                change.released += credits
        return change

    async def message(self, id: int) -> Message:
        """Refuses `MessageNotFound`."""
        query = select(*SHOWN).where(messages.c.id == id, messages.c.merchant_id == self.merchant_id)
        row = (await self.connection.execute(query)).one_or_none()
        if row is None:
            raise MessageNotFound(id=id)
        return rows.message(Message, row)

    async def outcome_page(self, request: ListOutcomesRequest, limit: int) -> list[Message]:
        """In the order of the ids, without their texts."""
        mine = (messages.c.merchant_id == self.merchant_id, messages.c.id.between(request.first_id, request.last_id))
        query = select(*LISTED).where(*mine).order_by(messages.c.id).limit(limit)
        if request.state:
            query = query.where(messages.c.state == request.state)
        return [rows.message(Message, row) for row in await self.connection.execute(query)]

    async def outcome(self, id: int) -> Outcome:
        """Refuses `MessageNotFound`."""
        message = await self.message(id)
        query = (
            select(
                messages.c.credits,
                messages.c.link_open_time,
                attempts.c.create_time.label("attempt_time"),
                attempts.c.finish_time.label("answer_time"),
                func.coalesce(attempts.c.state, "").label("answer"),
                func.coalesce(attempts.c.detail, "").label("answer_detail"),
                func.coalesce(attempts.c.recipient_count, 0).label("attempt_recipients"),
            )
            .join(attempts, attempts.c.id == messages.c.attempt_id, isouter=True)
            .where(messages.c.id == id, messages.c.merchant_id == self.merchant_id)
        )
        return Outcome(message=message, **(await self.connection.execute(query)).one()._mapping)

    async def message_page(self, filters: ListMessagesRequest, before: int | None, limit: int) -> list[Message]:
        """Newest first, without their texts."""
        query = select(*LISTED).where(messages.c.merchant_id == bindparam("merchant_id"))
        values: dict[str, Any] = {"merchant_id": self.merchant_id}
        if before is not None:
            query = query.where(messages.c.id < before)
        if filters.campaign_id:
            query = query.where(messages.c.campaign_id == rows.uuid(filters.campaign_id, CampaignIdInvalid))
        if filters.state:
            query = query.where(messages.c.state == filters.state)
        if filters.to:
            query = query.where(messages.c.to == filters.to)
        found = await self.connection.execute(query.order_by(messages.c.id.desc()).limit(limit), values)
        return [rows.message(Message, row) for row in found]


def _lines(
    batch: SendBatch, attempt_id: str | None, submit_time: datetime | None, now: Any, results: Sequence[Result]
) -> Iterator[str]:
    """The columns of `_COPY` in its text format, which psycopg, not knowing the columns, takes three times as long to
    write (docs/performance.md).
    """
    owner = f"{batch.merchant_id}\t{batch.campaign_id or NULL}"
    attempt, submitted, ended = attempt_id or NULL, str(submit_time or NULL), str(now)
    for result in results:
        person, state = result.recipient, result.state
        yield (
            f"{batch.first_message_id + result.index}\t{owner}\t{person.contact_id.hex() or NULL}\t{attempt}"
            f"\t{_escaped(person.phone)}\t{_escaped(person.text)}\t{person.segments}\t{person.credits}"
            f"\t{_NAMES[state]}\t{_escaped(result.provider_message_id or '') or NULL}\t{_escaped(result.error)}"
            f"\t{NULL if state == Message.SKIPPED else submitted}\t{NULL if state in WAITING else ended}\n"
        )


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")
