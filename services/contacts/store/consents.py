"""Statements over the ledger of consents."""

from sqlalchemy import insert

from kit.store import Store
from services.contacts.tables import consents

GRANTED, WITHDRAWN = "GRANTED", "WITHDRAWN"


class ConsentStatements(Store):
    async def note_consent(self, event: str, contact_id: str | None, phone_hash: bytes, source: str) -> None:
        """Adds a row to the ledger of consents."""
        row = {"contact_id": contact_id, "phone_hash": phone_hash, "event": event, "source": source, "wording": ""}
        await self.connection.execute(insert(consents).values(row | {"merchant_id": self.merchant_id}))
