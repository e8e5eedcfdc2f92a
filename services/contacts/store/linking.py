"""Statements that link what was said to the chains of consents (docs/consent-ledger.md, ADR 37).

A merchant's chain grows under an advisory lock of the transaction. It is the last lock that a transaction takes:
whoever holds it waits for nobody. What is linked is what waits, so a statement whose transaction commits late is not
passed over; of one person's the order is that in which they were said, since whoever writes about a person locks them.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC
from typing import Any, TypeAlias

from sqlalchemy import RowMapping, insert, select

from astronote.contacts.v1.consents_pb2 import Consent
from kit.boundary import fitting
from kit.store import Store
from services.contacts import ledger
from services.contacts.tables import consents, unlinked_consents

#: A contact's id, where there is a contact, and the phone's hash.
Person: TypeAlias = tuple[str | None, bytes]

STATEMENTS_A_ROUND = 1_000
PEOPLE_A_ROUND = 20_000
SAID = [column for column in unlinked_consents.c if column.name in consents.c]
OLDEST = """
SELECT merchant_id::text, extract(epoch FROM now() - min(create_time))::float8
FROM (SELECT merchant_id, create_time FROM unlinked_consents ORDER BY id LIMIT %(limit)s) AS oldest
GROUP BY merchant_id
"""
KEY = "hashtextextended('consents ' || merchant_id, 0)"
LOCK = f"SELECT pg_advisory_xact_lock({KEY}) FROM (VALUES (%(merchant_id)s::text)) AS asked (merchant_id)"
TRY_LOCK = f"""
SELECT merchant_id FROM unnest(%(merchant_ids)s::text[]) AS asked (merchant_id) WHERE pg_try_advisory_xact_lock({KEY})
"""
HEADS = """
SELECT merchant_id::text, number, hash
FROM unnest(%(merchant_ids)s::uuid[]) AS asked (id), LATERAL (
    SELECT merchant_id, number, hash FROM consents WHERE merchant_id = asked.id ORDER BY number DESC LIMIT 1
) AS head
"""
LINKED = "FROM unnest(%(ids)s::bigint[], %(numbers)s::integer[]) AS link (id, number) JOIN unlinked_consents USING (id)"
# What goes along with the links, each to its table.
MOVES = (
    f"""
    INSERT INTO consent_people (merchant_id, number, position, contact_id, phone_hash)
    SELECT merchant_id, number, position - 1, contact_id, phone_hash
    {LINKED}, unnest(contact_ids, phone_hashes) WITH ORDINALITY AS person (contact_id, phone_hash, position)
    """,
    f"""
    INSERT INTO consent_origins (merchant_id, number, contact_id, phone_hash, ip_address, user_agent, salt)
    SELECT merchant_id, number, contact_ids[1], phone_hashes[1], ip_address, user_agent, salt
    {LINKED} WHERE salt IS NOT NULL
    """,
    f"""
    INSERT INTO wordings (merchant_id, hash, text) SELECT merchant_id, wording_hash, wording
    {LINKED} WHERE wording <> '' ON CONFLICT DO NOTHING
    """,
    "DELETE FROM unlinked_consents WHERE id = ANY (%(ids)s::bigint[])",
)


class LinkingStatements(Store):
    async def complete_ledger(self) -> None:
        """Links everything of this merchant's that was said before, so that whoever looks finds the chain complete."""
        await self.driver.execute(LOCK, {"merchant_id": self.merchant_id})
        while await self.link([self.merchant_id]):
            pass

    async def unlinked_seconds(self) -> dict[str, float]:
        """How long the oldest statements wait, by their merchants."""
        cursor = await self.driver.execute(OLDEST, {"limit": STATEMENTS_A_ROUND})
        return dict(await cursor.fetchall())

    async def try_lock_ledgers(self, merchant_ids: Iterable[str]) -> list[str]:
        """Those of the merchants whose chain nobody else has in hand."""
        cursor = await self.driver.execute(TRY_LOCK, {"merchant_ids": list(merchant_ids)})
        return [merchant_id for (merchant_id,) in await cursor.fetchall()]

    async def link(self, merchant_ids: Sequence[str]) -> bool:
        """Links a round of these merchants' statements, the oldest first, under the locks of their chains; whether more
        may wait.
        """
        waiting = select(*SAID, unlinked_consents.c.id).where(unlinked_consents.c.merchant_id.in_(merchant_ids))
        query = waiting.order_by(unlinked_consents.c.id).limit(STATEMENTS_A_ROUND)
        found = list((await self.connection.execute(query)).mappings())
        taken = found[: fitting((statement["people_count"] for statement in found), PEOPLE_A_ROUND)]
        if not taken:
            return False
        links = _links(taken, await self.heads(merchant_ids))
        await self.connection.execute(insert(consents), links)
        places = {"ids": [link["statement_id"] for link in links], "numbers": [link["number"] for link in links]}
        for move in MOVES:
            await self.driver.execute(move, places)
        return len(taken) < len(found) or len(found) == STATEMENTS_A_ROUND

    async def heads(self, merchant_ids: Sequence[str]) -> dict[str, tuple[int, bytes]]:
        """Number and hash of the last link of each of the merchants that has one."""
        cursor = await self.driver.execute(HEADS, {"merchant_ids": list(merchant_ids)})
        return {merchant_id: (number, hash) for merchant_id, number, hash in await cursor.fetchall()}


def _links(statements: Iterable[RowMapping], heads: dict[str, tuple[int, bytes]]) -> list[dict[str, Any]]:
    """Each behind the one before of its merchant."""
    links, heads = list[dict[str, Any]](), dict(heads)
    for statement in statements:
        link = dict(statement)
        link["statement_id"] = link.pop("id")
        number, link["previous_hash"] = heads.get(link["merchant_id"], (0, ledger.BEGIN))
        link["number"] = number + 1
        link["hash"] = ledger.link(shown(link))
        heads[link["merchant_id"]] = link["number"], link["hash"]
        links.append(link)
    return links


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
