"""Statements over the ledger of consents, which is added to and never changed (docs/consent-ledger.md).

What is said waits in `unlinked_consents`, where a transaction leaves it and locks nothing; `store/linking.py` gives it
its link. Whoever reads the ledger calls `complete_ledger` first.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, RowMapping, Select, Table, delete, select, tuple_

from astronote.contacts.v1.consents_pb2 import Consent
from services.contacts import ledger
from services.contacts.consent import Statement
from services.contacts.store.linking import LinkingStatements, Person
from services.contacts.tables import consent_origins, consent_people, consents, merged_phones, wordings

#: Before the first entry of anybody.
FIRST = (0, 0)
NOTE = """
INSERT INTO unlinked_consents (merchant_id, event, purpose, legal_basis, source, wording, wording_hash, origin_hash,
                               ip_address, user_agent, salt, people_count, people_root, contact_ids, phone_hashes)
VALUES (%(merchant_id)s, %(event)s, 'MARKETING', %(legal_basis)s, %(source)s, %(wording)s, %(wording_hash)s,
        %(origin_hash)s, %(ip_address)s, %(user_agent)s, %(salt)s, %(people_count)s, %(people_root)s,
        %(contact_ids)s::uuid[], %(phone_hashes)s::bytea[])
"""


class ConsentStatements(LinkingStatements):
    async def note_consents(self, statement: Statement, people: Sequence[Person], merchant_id: str = "") -> None:
        """Adds one statement about these people to the ledger of the merchant, the transaction's own if none is named.
        It is in the ledger when the transaction is; its link follows.
        """
        if not people:
            return
        origin = statement.origin
        said = {
            "merchant_id": merchant_id or self.merchant_id,
            "event": Consent.Event.Name(statement.event),
            "legal_basis": Consent.LegalBasis.Name(statement.legal_basis),
            "source": statement.source,
            "wording": statement.wording,
            "wording_hash": ledger.wording(statement.wording) if statement.wording else b"",
            "origin_hash": ledger.origin(origin.salt, origin.ip_address, origin.user_agent) if origin else b"",
            "ip_address": origin.ip_address if origin else "",
            "user_agent": origin.user_agent if origin else "",
            "salt": origin.salt if origin else None,
            "people_count": len(people),
            "people_root": ledger.root(ledger.person(*person) for person in people),
        }
        # Array literals: the driver's own way to write thousands of values takes ten times as long.
        contact_ids = ",".join(contact_id or "NULL" for contact_id, _ in people)
        phone_hashes = ",".join(f'"\\\\x{phone_hash.hex()}"' for _, phone_hash in people)
        those = {"contact_ids": f"{{{contact_ids}}}", "phone_hashes": f"{{{phone_hashes}}}"}
        await self.driver.execute(NOTE, said | those)

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
        return (await self.heads([self.merchant_id])).get(self.merchant_id, (0, ledger.BEGIN))

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
