"""Statements over messages."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, func, select, text, update

from astronote.sender.v1.batches_pb2 import SendBatch
from astronote.sender.v1.sender_pb2 import ListMessagesRequest, Message
from kit import rows
from kit.store import Store
from services.sender.errors import MessageNotFound
from services.sender.outcomes import COLUMNS, Change, Result
from services.sender.tables import messages

_COPY = (
    'COPY messages (id, merchant_id, campaign_id, contact_id, attempt_id, "to", text, segments, credits, state,'
    " provider_message_id, error, submit_time, finish_time) FROM STDIN"
)
WAITING = frozenset({Message.ACCEPTED, Message.UNKNOWN})
SHOWN = rows.columns(Message, messages)
LISTED = [column for column in SHOWN if column.name != "text"]
_RESOLVE = text("""
    UPDATE messages m SET state = r.state, provider_message_id = r.provider_message_id, error = r.error
    FROM unnest(CAST(:ids AS bigint[]), CAST(:states AS text[]), CAST(:provider_ids AS text[]), CAST(:errors AS text[]))
        AS r(id, state, provider_message_id, error)
    WHERE m.id = r.id AND m.state = 'UNKNOWN'
    RETURNING m.state, m.credits
""")


class MessageStatements(Store):
    async def add_messages(
        self, batch: SendBatch, attempt_id: str | None, submit_time: datetime | None, results: Sequence[Result]
    ) -> None:
        """One COPY row a recipient. The primary key keeps a recipient from having two."""
        now = await self.connection.scalar(select(func.now()))
        driver = (await self.connection.get_raw_connection()).driver_connection
        assert driver is not None
        head = (batch.merchant_id, batch.campaign_id)
        names, waiting, skipped = Message.State.Name, WAITING, Message.SKIPPED
        async with driver.cursor() as cursor, cursor.copy(_COPY) as copy:
            for result in results:
                person, state = result.recipient, result.state
                await copy.write_row(
                    (
                        batch.first_message_id + result.index,
                        *head,
                        UUID(bytes=person.contact_id),
                        attempt_id,
                        person.phone,
                        person.text,
                        person.segments,
                        person.credits,
                        names(state),
                        result.provider_message_id,
                        result.error,
                        None if state == skipped else submit_time,
                        None if state in waiting else now,
                    )
                )

    async def resolve_unknown(self, first_message_id: int, results: Sequence[Result]) -> Change:
        """What evidence makes of messages that are unknown; others it leaves alone."""
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
        for state, credits in found:
            change.add("unknown", -1)
            change.add(COLUMNS[Message.State.Value(state)], 1)
            if state == "ACCEPTED":
                change.captured += credits
            else:
                change.released += credits
        return change

    async def expire_messages(self, first_id: int, count: int) -> Change:
        """Ends the wait of the messages in a range of ids."""
        change = Change()
        for state in WAITING:
            waiting = (messages.c.id.between(first_id, first_id + count - 1), messages.c.state == state)
            values = {"state": Message.EXPIRED, "finish_time": func.now(), "error": "no report within the validity"}
            ended = update(messages).where(*waiting).values(values).returning(messages.c.credits)
            credits = list((await self.connection.execute(ended)).scalars())
            if credits:
                change.add(COLUMNS[state], -len(credits))
                change.add("expired", len(credits))
            if state == Message.UNKNOWN:
                change.released += sum(credits)
        return change

    async def message(self, id: int) -> Message:
        """Refuses `MessageNotFound`."""
        query = select(*SHOWN).where(messages.c.id == id, messages.c.merchant_id == self.merchant_id)
        row = (await self.connection.execute(query)).one_or_none()
        if row is None:
            raise MessageNotFound(id=id)
        return rows.message(Message, row)

    async def message_page(self, filters: ListMessagesRequest, before: int | None, limit: int) -> list[Message]:
        """Newest first, without their texts."""
        query = select(*LISTED).where(messages.c.merchant_id == bindparam("merchant_id"))
        values: dict[str, Any] = {"merchant_id": self.merchant_id}
        if before is not None:
            query = query.where(messages.c.id < before)
        if filters.campaign_id:
            query = query.where(messages.c.campaign_id == rows.uuid(filters.campaign_id, MessageNotFound))
        if filters.state:
            query = query.where(messages.c.state == filters.state)
        if filters.to:
            query = query.where(messages.c.to == filters.to)
        found = await self.connection.execute(query.order_by(messages.c.id.desc()).limit(limit), values)
        return [rows.message(Message, row) for row in found]
