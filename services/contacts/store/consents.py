"""Statements over the ledger of consents, which is added to and never changed (docs/consent-ledger.md).

A merchant's chain grows by one link at a time, under a lock that is held until the commit. It is the last lock that a
transaction takes: whoever holds it waits for nobody. So the ledger is written at a transaction's end, and where one
transaction writes for several merchants, in the order of their ids.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC
from typing import Any, TypeAlias

from sqlalchemy import ColumnElement, RowMapping, Select, Table, delete, func, insert, select, text, tuple_
from sqlalchemy.dialects.postgresql import insert as upsert

from astronote.contacts.v1.consents_pb2 import Consent
from kit.store import Store
from services.contacts import ledger
from services.contacts.consent import Statement
from services.contacts.tables import consent_origins, consent_people, consents, merged_phones, wordings

#: A contact's id, where there is a contact, and the phone's hash.
Person: TypeAlias = tuple[str | None, bytes]

#: Before the first entry of anybody.
FIRST = (0, 0)
LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('consents ' || :merchant_id, 0))"
ADD_PEOPLE = """
INSERT INTO consent_people (merchant_id, number, position, contact_id, phone_hash)
SELECT cast(:merchant_id AS uuid), :number, position - 1, contact_id, phone_hash
FROM unnest(cast(:contact_ids AS uuid[]), cast(:phone_hashes AS bytea[])) WITH ORDINALITY
     AS person (contact_id, phone_hash, position)
"""


class ConsentStatements(Store):
    async def note_consents(self, statement: Statement, people: Sequence[Person], merchant_id: str = "") -> None:
        """Adds one link about these people to the chain of the merchant, the transaction's own if none is named.

        Nothing is to be locked after it in the transaction: see above.
        """
        if not people:
            return
        merchant_id = merchant_id or self.merchant_id
        origin = statement.origin
        said: dict[str, Any] = {
            "merchant_id": merchant_id,
            "event": statement.event,
            "purpose": Consent.MARKETING,
            "legal_basis": statement.legal_basis,
            "source": statement.source,
            "wording_hash": ledger.wording(statement.wording) if statement.wording else b"",
            "origin_hash": ledger.origin(origin.salt, origin.ip_address, origin.user_agent) if origin else b"",
            "people_count": len(people),
            "people_root": ledger.root(ledger.person(*person) for person in people),
        }
        await self.connection.execute(text(LOCK), {"merchant_id": merchant_id})
        # Not the transaction's time, which may be before that of the link before.
        said["create_time"] = (await self.connection.execute(select(func.clock_timestamp()))).scalar_one()
        if statement.wording:
            words = {"merchant_id": merchant_id, "hash": said["wording_hash"], "text": statement.wording}
            await self.connection.execute(upsert(wordings).values(words).on_conflict_do_nothing())
        number, previous_hash = await self._head(merchant_id)
        link = said | {"number": number + 1, "previous_hash": previous_hash}
        await self.connection.execute(insert(consents).values(link | {"hash": ledger.link(shown(link))}))
        place = {"merchant_id": merchant_id, "number": number + 1}
        # Array literals: the driver's own way to write thousands of values takes ten times as long.
        contact_ids = ",".join(contact_id or "NULL" for contact_id, _ in people)
        phone_hashes = ",".join(f'"\\\\x{phone_hash.hex()}"' for _, phone_hash in people)
        those = {"contact_ids": f"{{{contact_ids}}}", "phone_hashes": f"{{{phone_hashes}}}"}
        await self.connection.execute(text(ADD_PEOPLE), place | those)
        if origin:
            (contact_id, phone_hash) = people[0]
            row = place | {"contact_id": contact_id, "phone_hash": phone_hash} | vars(origin)
            await self.connection.execute(insert(consent_origins).values(row))

    async def person_hashes(self, phone_hashes: Sequence[bytes]) -> list[bytes]:
        """Under which a person stands in the ledger: those of the phone, and of those that were merged into it."""
        merged = select(merged_phones.c.merged_hash).where(
            merged_phones.c.merchant_id == self.merchant_id, merged_phones.c.phone_hash.in_(phone_hashes)
        )
        return list(dict.fromkeys([*phone_hashes, *sorted((await self.connection.execute(merged)).scalars())]))

    async def consent_page(
        self, person_hashes: Sequence[bytes], after: tuple[int, int], limit: int
    ) -> list[RowMapping]:
        """A person's consents with their wordings, and their origins where they are not erased; the oldest first.
        `after` is a link's number and a position in it: a link may hold a person twice.
        """
        place = tuple_(consent_people.c.number, consent_people.c.position)
        query = (
            _with_texts()
            .join(consent_people, _is_of(consent_people))
            .where(consent_people.c.merchant_id == self.merchant_id, consent_people.c.phone_hash.in_(person_hashes))
            .where(place > after)
            .add_columns(consent_people.c.position, consent_people.c.contact_id, consent_people.c.phone_hash)
            .order_by(consents.c.number, consent_people.c.position)
            .limit(limit)
        )
        return list((await self.connection.execute(query)).mappings())

    async def consent_head(self) -> tuple[int, bytes]:
        """The number and the hash of the last link; 0 where there is none."""
        return await self._head(self.merchant_id)

    async def consent_links(self, after: int, limit: int) -> list[RowMapping]:
        """Links of the chain in their order, as `consent_page` shows them."""
        query = _with_texts().where(consents.c.merchant_id == self.merchant_id, consents.c.number > after)
        return list((await self.connection.execute(query.order_by(consents.c.number).limit(limit))).mappings())

    async def consent_people(self, number: int) -> list[Person]:
        """Those whom a link is about, in the order of its tree."""
        query = (
            select(consent_people.c.contact_id, consent_people.c.phone_hash)
            .where(consent_people.c.merchant_id == self.merchant_id, consent_people.c.number == number)
            .order_by(consent_people.c.position)
        )
        return [(contact_id, phone_hash) for contact_id, phone_hash in await self.connection.execute(query)]

    async def wording_texts(self) -> AsyncIterator[tuple[bytes, str]]:
        query = select(wordings.c.hash, wordings.c.text).where(wordings.c.merchant_id == self.merchant_id)
        async for hash, wording in await self.connection.stream(query):
            yield hash, wording

    async def erase_origins(self, contact_id: str, person_hashes: Sequence[bytes]) -> int:
        """Drops where a person's consents came from, salts included; the chain stays as it is."""
        whose = (consent_origins.c.contact_id == contact_id) | consent_origins.c.phone_hash.in_(person_hashes)
        statement = delete(consent_origins).where(consent_origins.c.merchant_id == self.merchant_id, whose)
        return (await self.connection.execute(statement)).rowcount

    async def _head(self, merchant_id: str) -> tuple[int, bytes]:
        query = (
            select(consents.c.number, consents.c.hash)
            .where(consents.c.merchant_id == merchant_id)
            .order_by(consents.c.number.desc())
            .limit(1)
        )
        row = (await self.connection.execute(query)).one_or_none()
        return (row.number, row.hash) if row else (0, ledger.BEGIN)


def shown(link: RowMapping | dict[str, Any]) -> dict[str, Any]:
    """A link as its hash is of it, and as evidence shows it."""
    return {
        "create_time": link["create_time"].astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "event": Consent.Event.Name(link["event"]),
        "legal_basis": Consent.LegalBasis.Name(link["legal_basis"]),
        "merchant_id": str(link["merchant_id"]),
        "number": link["number"],
        "origin_hash": link["origin_hash"].hex(),
        "people_count": link["people_count"],
        "people_root": link["people_root"].hex(),
        "previous_hash": link["previous_hash"].hex(),
        "purpose": Consent.Purpose.Name(link["purpose"]),
        "source": link["source"],
        "wording_hash": link["wording_hash"].hex(),
    }


def _with_texts() -> Select[Any]:
    """Links with their wordings and origins; an erased origin has nulls."""
    texts = [
        wordings.c.text.label("wording"),
        *(consent_origins.c[name] for name in ("ip_address", "user_agent", "salt")),
    ]
    is_worded = (wordings.c.merchant_id == consents.c.merchant_id) & (wordings.c.hash == consents.c.wording_hash)
    found = consents.outerjoin(wordings, is_worded).outerjoin(consent_origins, _is_of(consent_origins))
    return select(*consents.c, *texts).select_from(found)


def _is_of(table: Table) -> ColumnElement[bool]:
    """Whether a row belongs to a link."""
    return (table.c.merchant_id == consents.c.merchant_id) & (table.c.number == consents.c.number)
