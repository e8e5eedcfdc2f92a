"""Statements over the suppressions: phones that may not be texted, whether or not there is a contact.

A START undoes a STOP and nothing else. So a suppression's source is STOP only as long as nothing but STOPs stand behind
it: every other source takes a STOP's place, and none is ever replaced.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import Boolean, delete, func, literal_column, select, tuple_
from sqlalchemy.dialects.postgresql import insert

from astronote.contacts.v1.consents_pb2 import Consent
from astronote.contacts.v1.events_pb2 import ConsentWithdrawn
from services.contacts.consent import Statement
from services.contacts.store.consents import ConsentStatements
from services.contacts.suppression import STOP, PhoneHash
from services.contacts.tables import contacts, suppressions

log = structlog.get_logger()

SUPPRESSED = "SELECT FROM suppressions WHERE merchant_id = %(merchant_id)s AND phone_hash = %(phone_hash)s"
# Arrays stand behind SELECTs, here and below, so that the planner takes them for short and looks each phone up.
OPTED_OUT = """
SELECT DISTINCT asked.phone
FROM unnest((SELECT %(phones)s::text[]), (SELECT %(hashes)s::bytea[])) AS asked (phone, phone_hash)
WHERE EXISTS (
    SELECT FROM suppressions
    WHERE suppressions.merchant_id = %(merchant_id)s AND suppressions.phone_hash = asked.phone_hash
) OR EXISTS (
    SELECT FROM contacts
    WHERE contacts.merchant_id = %(merchant_id)s AND contacts.phone = asked.phone
      AND contacts.subscription <> 'SUBSCRIBED'
)
"""
# Contacts first, then suppressions, each in the order of the phones: see store/imports.py. All of the contacts, since
# whoever locks some now and the rest later meets somebody who goes through them once.
REHASH_CONTACTS = """
WITH those AS (
    SELECT contacts.id, asked.phone_hash
    FROM unnest((SELECT %(phones)s::text[]), (SELECT %(hashes)s::bytea[])) AS asked (phone, phone_hash)
    JOIN contacts ON contacts.merchant_id = %(merchant_id)s::uuid AND contacts.phone = asked.phone
    ORDER BY asked.phone
    FOR UPDATE OF contacts
)
UPDATE contacts SET phone_hash = those.phone_hash
FROM those
WHERE contacts.merchant_id = %(merchant_id)s::uuid AND contacts.id = those.id
  AND contacts.phone_hash <> those.phone_hash
"""
# Of several of one phone the firmest stays: no START undoes what is more than STOPs.
REHASH_SUPPRESSIONS = """
WITH old AS (
    SELECT suppressions.phone_hash AS old_hash, asked.phone_hash, suppressions.source, suppressions.create_time
    FROM unnest((SELECT %(phones)s::text[]), (SELECT %(hashes)s::bytea[]), (SELECT %(others)s::bytea[]))
        AS asked (phone, phone_hash, other_hash)
    JOIN suppressions ON suppressions.merchant_id = %(merchant_id)s::uuid AND suppressions.phone_hash = asked.other_hash
    ORDER BY asked.phone, asked.other_hash
    FOR UPDATE OF suppressions
), gone AS (
    DELETE FROM suppressions USING old
    WHERE suppressions.merchant_id = %(merchant_id)s::uuid AND suppressions.phone_hash = old.old_hash
)
INSERT INTO suppressions (merchant_id, phone_hash, source, create_time)
SELECT %(merchant_id)s::uuid, phone_hash, (array_agg(source ORDER BY source = 'STOP'))[1], max(create_time)
FROM old GROUP BY phone_hash ORDER BY phone_hash
ON CONFLICT (merchant_id, phone_hash) DO UPDATE
SET source = excluded.source, create_time = greatest(suppressions.create_time, excluded.create_time)
WHERE suppressions.source = 'STOP'
"""


@dataclass(frozen=True)
class Hashed:
    """A contact's phone, and the hash under which it is known."""

    merchant_id: str
    phone: str
    phone_hash: bytes


class SuppressionStatements(ConsentStatements):
    async def hashes_after(self, after: Hashed | None, limit: int) -> list[Hashed]:
        """Of all merchants, in the order of merchants and phones."""
        shown = (contacts.c.merchant_id, contacts.c.phone, contacts.c.phone_hash)
        query = select(*shown).order_by(*shown[:2]).limit(limit)
        if after:
            query = query.where(tuple_(*shown[:2]) > (after.merchant_id, after.phone))
        return [Hashed(*row) for row in await self.connection.execute(query)]

    async def rehash(self, phones: Sequence[str], hashed: PhoneHash, merchant_id: str = "") -> None:
        """Brings contacts and suppressions of these phones under the first of the keys, where there are several: from
        here on in the transaction nothing of them is under another. The merchant is the transaction's own if none is
        named.
        """
        if hashed.is_one or not phones:
            return
        those = [(phone, hashed(phone), other) for phone in phones for other in hashed.others(phone)]
        whose: dict[str, object] = {"merchant_id": merchant_id or self.merchant_id}
        asked = {"phones": list(phones), "hashes": [hashed(phone) for phone in phones]}
        await self.connection.exec_driver_sql(REHASH_CONTACTS, whose | asked)
        asked = {name: [each[at] for each in those] for at, name in enumerate(("phones", "hashes", "others"))}
        await self.connection.exec_driver_sql(REHASH_SUPPRESSIONS, whose | asked)

    async def suppressed(self, phone_hash: bytes) -> bool:
        asked = {"merchant_id": self.merchant_id, "phone_hash": phone_hash}
        return await (await self.driver.execute(SUPPRESSED, asked)).fetchone() is not None

    async def withdraw(
        self, contact_id: str | None, phone_hashes: Sequence[bytes], source: str, said_time: datetime | None = None
    ) -> bool:
        """Suppresses the phones of a contact, in their order, and tells the ledger and the mesh; false when they were
        suppressed already.

        The contact, where there is one, is locked before (imports.py).
        """
        changes = {each: await self._suppress(each, source, said_time) for each in phone_hashes}
        # A STOP after a STOP says nothing new; another source after one does.
        said = [each for each, is_new in changes.items() if is_new or (is_new is not None and source != STOP)]
        is_new = any(changes.values())
        for each in phone_hashes:
            # What an operator enters again when the database has gone back in time (docs/backup.md).
            log.info("consent withdrawn", merchant_id=self.merchant_id, person=each.hex(), source=source)
        await self.note_consents(Statement(Consent.WITHDRAWN, source), [(contact_id, each) for each in said])
        if is_new:
            await self.emit(ConsentWithdrawn(merchant_id=self.merchant_id, contact_id=contact_id or "", source=source))
        return is_new

    async def _suppress(self, phone_hash: bytes, source: str, said_time: datetime | None) -> bool | None:
        """Whether it is new; none where it was there already and is no firmer now."""
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
        returned = firmer.returning(literal_column("xmax = 0", Boolean))
        is_new: bool | None = (await self.connection.execute(returned)).scalar_one_or_none()
        return is_new

    async def lift_stop(self, phone_hash: bytes, said_time: datetime) -> bool:
        """Ends a suppression behind which there are STOPs only, all of them said before; false where there is none."""
        stopped = (suppressions.c.source == STOP, suppressions.c.create_time <= said_time)
        result = await self.connection.execute(delete(suppressions).where(*self._suppression(phone_hash), *stopped))
        return bool(result.rowcount)

    async def opted_out(self, phones: Sequence[str], hashed: PhoneHash) -> list[str]:
        """Those of the phones whose owner said no, whether or not they are contacts."""
        asked = [(phone, phone_hash) for phone in phones for phone_hash in hashed.all(phone)]
        parameters = {"phones": [phone for phone, _ in asked], "hashes": [phone_hash for _, phone_hash in asked]}
        result = await self.connection.exec_driver_sql(OPTED_OUT, {"merchant_id": self.merchant_id} | parameters)
        return list(result.scalars())

    def _suppression(self, phone_hash: bytes) -> tuple[Any, ...]:
        return suppressions.c.merchant_id == self.merchant_id, suppressions.c.phone_hash == phone_hash
