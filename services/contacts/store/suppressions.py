"""Statements over the suppressions: phones that may not be texted, whether or not there is a contact.

A START undoes a STOP and nothing else. So a suppression's source is STOP only as long as nothing but STOPs stand behind
it: every other source takes a STOP's place, and none is ever replaced.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, exists, func, literal_column, select
from sqlalchemy.dialects.postgresql import insert

from astronote.contacts.v1.consents_pb2 import Consent
from astronote.contacts.v1.events_pb2 import ConsentWithdrawn
from services.contacts.consent import Statement
from services.contacts.store.consents import ConsentStatements
from services.contacts.suppression import STOP
from services.contacts.tables import suppressions

OPTED_OUT = """
SELECT asked.phone FROM unnest(%(phones)s::text[], %(hashes)s::bytea[]) AS asked (phone, phone_hash)
WHERE EXISTS (
    SELECT FROM suppressions
    WHERE suppressions.merchant_id = %(merchant_id)s AND suppressions.phone_hash = asked.phone_hash
) OR EXISTS (
    SELECT FROM contacts
    WHERE contacts.merchant_id = %(merchant_id)s AND contacts.phone = asked.phone
      AND contacts.subscription <> 'SUBSCRIBED'
)
"""


class SuppressionStatements(ConsentStatements):
    async def suppressed(self, phone_hash: bytes) -> bool:
        query = select(exists().where(*self._suppression(phone_hash)))
        return bool((await self.connection.execute(query)).scalar_one())

    async def withdraw(
        self, contact_id: str | None, phone_hash: bytes, source: str, said_time: datetime | None = None
    ) -> bool:
        """Suppresses a phone and tells the ledger and the mesh; false when it was suppressed already.

        The contact, where there is one, is locked before (imports.py).
        """
        row = {"merchant_id": self.merchant_id, "phone_hash": phone_hash, "source": source}
        said = insert(suppressions).values(row | {"create_time": said_time or func.now()})
        firmer = said.on_conflict_do_update(
            index_elements=["merchant_id", "phone_hash"],
            set_={
                "source": said.excluded.source,
                "create_time": func.greatest(suppressions.c.create_time, said.excluded.create_time),
            },
            where=suppressions.c.source == STOP,
        )
        is_new = (await self.connection.execute(firmer.returning(literal_column("xmax = 0")))).scalar_one_or_none()
        # A STOP after a STOP says nothing new; another source after one does.
        if is_new or (is_new is not None and source != STOP):
            await self.note_consents(Statement(Consent.WITHDRAWN, source), [(contact_id, phone_hash)])
        if is_new:
            await self.emit(ConsentWithdrawn(merchant_id=self.merchant_id, contact_id=contact_id or "", source=source))
        return bool(is_new)

    async def lift_stop(self, phone_hash: bytes, said_time: datetime) -> bool:
        """Ends a suppression behind which there are STOPs only, all of them said before; false where there is none."""
        stopped = (suppressions.c.source == STOP, suppressions.c.create_time <= said_time)
        result = await self.connection.execute(delete(suppressions).where(*self._suppression(phone_hash), *stopped))
        return bool(result.rowcount)

    async def opted_out(self, phones: Sequence[str], hashes: Sequence[bytes]) -> list[str]:
        """Those of the phones (with their hashes) whose owner said no, whether or not they are contacts."""
        parameters = {"merchant_id": self.merchant_id, "phones": list(phones), "hashes": list(hashes)}
        result = await self.connection.exec_driver_sql(OPTED_OUT, parameters)
        return list(result.scalars())

    def _suppression(self, phone_hash: bytes) -> tuple[Any, ...]:
        return suppressions.c.merchant_id == self.merchant_id, suppressions.c.phone_hash == phone_hash
