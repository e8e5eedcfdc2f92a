"""Statements over what is held about people: shown, erased, and forgotten when it is old.

A row loses the person and stays: tallies are counts of rows, and late reports find theirs by the provider's id.
"""

from collections.abc import AsyncIterator

from sqlalchemy import delete, func, select, text, update

from astronote.sender.v1.inbound_pb2 import InboundText
from astronote.sender.v1.sender_pb2 import Message
from kit import rows
from kit.rows import one_of
from kit.store import Store
from services.sender.tables import arrivals, batches, inbound_texts, messages, webhooks

SHOWN = rows.columns(Message, messages)
INBOUND = rows.columns(InboundText, inbound_texts)
MESSAGES_MAX = 10_000
NAMELESS = {"to": None, "text": ""}
ERASE_ANSWERS = """
DELETE FROM requests WHERE merchant_id = :merchant_id AND position(convert_to(:phone, 'UTF8') IN answer) > 0
"""
# Single texts none of which is queued any more are not published any more; the row waits for its books to close.
ERASE_SINGLES = """
UPDATE singles SET payload = '' FROM messages
WHERE messages.id = ANY(:message_ids) AND singles.batch_id = messages.id >> 17
  AND singles.merchant_id = :merchant_id AND NOT EXISTS (
      SELECT FROM messages waiting WHERE waiting.state = 'QUEUED'
         AND waiting.id BETWEEN singles.batch_id << 17 AND (singles.batch_id << 17) + 131071
  )
"""
# What was said in them stands in rows by now; what is not applied yet is, by the next time.
ERASE_WEBHOOKS = """
WITH quarantined AS (
    DELETE FROM quarantined_reports WHERE webhook_id BETWEEN :first AND :last AND position(:digits IN item) > 0
)
DELETE FROM webhooks
WHERE id BETWEEN :first AND :last AND apply_time IS NOT NULL AND position(convert_to(:digits, 'UTF8') IN body) > 0
"""
# A batch that nobody could handle; what of it is still to be sent is published anew by campaigns.
ERASE_DEAD_LETTERS = """
DELETE FROM dead_letters
WHERE (position(convert_to(:digits, 'UTF8') IN payload) > 0
       AND position(convert_to(:merchant_id, 'UTF8') IN payload) > 0)
   OR position(:digits IN error) > 0
"""


class PrivacyStatements(Store):
    async def person_messages(self, phone: str) -> AsyncIterator[Message]:
        """Newest first, with their texts."""
        query = select(*SHOWN).where(messages.c.merchant_id == self.merchant_id, messages.c.to == phone)
        async for row in await self.connection.stream(query.order_by(messages.c.id.desc()).limit(MESSAGES_MAX)):
            yield rows.message(Message, row)

    async def person_inbound(self, phone: str) -> AsyncIterator[InboundText]:
        query = select(*INBOUND).where(inbound_texts.c.merchant_id == self.merchant_id, inbound_texts.c.phone == phone)
        async for row in await self.connection.stream(query.order_by(inbound_texts.c.id.desc()).limit(MESSAGES_MAX)):
            yield rows.message(InboundText, row)

    async def erase_messages(self, phone: str) -> list[int]:
        """The ids of those that lost their phone and text."""
        whose = (messages.c.merchant_id == self.merchant_id, messages.c.to == phone)
        statement = update(messages).where(*whose).values(NAMELESS).returning(messages.c.id)
        ids = list((await self.connection.execute(statement)).scalars())
        await self.connection.execute(text(ERASE_SINGLES), {"merchant_id": self.merchant_id, "message_ids": ids})
        return ids

    async def forget_texts(self, seconds: float, batches_max: int, messages_max: int) -> int:
        """Takes phone and text out of the messages of batches that were done so long ago, in their order: of about so
        many messages. Returns the batches.
        """
        age = func.make_interval(0, 0, 0, 0, 0, 0, seconds)
        old = (text("state = 'DONE'"), batches.c.advance_time < func.now() - age)
        due = select(batches.c.id, batches.c.recipient_count).where(*old).order_by(batches.c.advance_time)
        found = (await self.connection.execute(due.limit(batches_max).with_for_update(skip_locked=True))).all()
        forgotten, left = list[int](), messages_max
        for batch_id, recipient_count in found:
            if left <= 0:
                break
            first_id = batch_id << 17
            its_own = messages.c.id.between(first_id, first_id + recipient_count - 1)
            await self.connection.execute(update(messages).where(its_own).values(NAMELESS))
            forgotten.append(batch_id)
            left -= recipient_count
        gone = update(batches).where(batches.c.id.in_(forgotten)).values(advance_time=None)
        await self.connection.execute(gone)
        return len(forgotten)

    async def drop_inbound(self, seconds: float, limit: int) -> int:
        """Deletes what was texted in so long ago; what is not obeyed yet stays until it is."""
        old = inbound_texts.c.receive_time < func.now() - func.make_interval(0, 0, 0, 0, 0, 0, seconds)
        due = select(inbound_texts.c.id).where(old, inbound_texts.c.state != InboundText.PENDING)
        # Locked: one that is repeated meanwhile is pending again.
        due = due.order_by(inbound_texts.c.receive_time).limit(limit).with_for_update(skip_locked=True)
        dropped = delete(inbound_texts).where(one_of(inbound_texts.c.id, due))
        return (await self.connection.execute(dropped)).rowcount

    async def erase_answers(self, phone: str) -> None:
        """Forgets what requests were answered, where it shows the phone: they are answered anew."""
        await self.connection.execute(text(ERASE_ANSWERS), {"merchant_id": self.merchant_id, "phone": phone})

    async def erase_inbound(self, phone: str) -> None:
        """Drops what the person texted to the merchant."""
        whose = (inbound_texts.c.merchant_id == self.merchant_id, inbound_texts.c.phone == phone)
        await self.connection.execute(delete(inbound_texts).where(*whose))

    async def erase_arrivals(self, phone: str) -> None:
        """Drops what was shown by now to the merchants whom it is for; the rest is, by the next time."""
        is_shown = arrivals.c.look_time.is_(None) | (arrivals.c.look_time > arrivals.c.receive_time)
        await self.connection.execute(delete(arrivals).where(arrivals.c.phone == phone, is_shown))

    async def erase_dead_letters(self, merchant_id: str, digits: str) -> None:
        """Drops the merchant's batches that were given up, where the phone is in them."""
        await self.connection.execute(text(ERASE_DEAD_LETTERS), {"merchant_id": merchant_id, "digits": digits})

    async def webhook_ids(self) -> range:
        """From the first to the last of the bodies that are kept."""
        first, last = (await self.connection.execute(select(func.min(webhooks.c.id), func.max(webhooks.c.id)))).one()
        return range(first, last + 1) if first else range(0)

    async def erase_webhooks(self, digits: str, ids: range) -> None:
        """Drops the bodies with these digits in them, whoever's texts they were about."""
        place = {"first": ids.start, "last": ids.stop - 1}
        await self.connection.execute(text(ERASE_WEBHOOKS), place | {"digits": digits})
