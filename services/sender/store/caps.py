"""Statements of the frequency cap: how many texts somebody has had of a merchant, and is about to get."""

from collections import Counter
from collections.abc import Sequence

from sqlalchemy import select, text, update

from astronote.sender.v1.batches_pb2 import BatchRecipient, SendBatch
from kit.store import Store
from services.sender.store.attempts import LeaseLostError
from services.sender.tables import attempts

ID_BYTES = 16
# Of two attempts at once the second waits for what the first has said.
_ONE_BY_ONE = text("SELECT pg_advisory_xact_lock(hashtextextended('cap ' || :merchant_id, 0))")
_HAD = text("""
    SELECT asked.phone, (
        SELECT count(*) FROM messages m
        WHERE m."to" = asked.phone AND m.merchant_id = CAST(:merchant_id AS uuid) AND m.campaign_id IS NOT NULL
          AND m.submit_time > now() - make_interval(days => :days) AND m.state NOT IN ('SKIPPED', 'REJECTED')
    ) AS texts
    FROM unnest(CAST(:phones AS text[])) AS asked(phone)
""")


class CapStatements(Store):
    async def cap(
        self, attempt_id: str, batch: SendBatch, chunk: Sequence[tuple[int, BatchRecipient]]
    ) -> frozenset[int]:
        """The indexes of those who have had as many texts as the batch allows, or are about to by another attempt: they
        are left out of this one, and the others are about to. Raises `LeaseLostError` where it was given up.
        """
        await self.connection.execute(_ONE_BY_ONE, {"merchant_id": batch.merchant_id})
        phones = [recipient.phone for _, recipient in chunk]
        asked = {"merchant_id": batch.merchant_id, "days": batch.cap_days, "phones": phones}
        had = {row.phone: row.texts for row in await self.connection.execute(_HAD, asked)}
        coming = await self._coming(batch.merchant_id)
        capped = [
            index
            for index, recipient in chunk
            if had[recipient.phone] + coming[recipient.contact_id] >= batch.cap_texts
        ]
        left_out = frozenset(capped)
        contact_ids = b"".join(recipient.contact_id for index, recipient in chunk if index not in left_out)
        mine = (attempts.c.id == attempt_id, attempts.c.state == "OPEN")
        said = update(attempts).where(*mine).values(capped_indexes=capped, contact_ids=contact_ids)
        if not (await self.connection.execute(said)).rowcount:
            raise LeaseLostError(attempt_id)
        return left_out

    async def _coming(self, merchant_id: str) -> Counter[bytes]:
        """By contact, what open attempts are about to submit."""
        mine = (attempts.c.merchant_id == merchant_id, attempts.c.contact_ids.is_not(None))
        packed = (await self.connection.execute(select(attempts.c.contact_ids).where(*mine))).scalars()
        return Counter(each[at : at + ID_BYTES] for each in packed for at in range(0, len(each), ID_BYTES))
