"""Statements over the ledger's journals and their entries."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, TypeVar

from google.protobuf.message import Message
from sqlalchemy import func, literal, select, text

from astronote.wallet.v1.wallet_pb2 import Transaction
from kit import rows
from kit.store import Store
from services.wallet.errors import KeyReused
from services.wallet.ledger import Movement
from services.wallet.store import numbered
from services.wallet.tables import entries, journals, metadata

Answer = TypeVar("Answer", bound=Message)

# One round trip: the journal, its entries and the balances. The columns are those of the tables, in their words. What
# becomes available pays the debt first, whatever it comes from.
BOOK = text("""
WITH owed AS (
    SELECT debt FROM wallets WHERE merchant_id = :merchant_id FOR UPDATE
), repaid AS (
    SELECT least(debt, greatest(CAST(:available AS bigint), 0)) AS amount FROM owed
), journal AS (
    INSERT INTO journals (id, merchant_id, key, request_hash, answer, kind, hold_id, reason, create_time)
    VALUES (:id, :merchant_id, :key, :request_hash, :answer, :kind, :hold_id, :reason, :create_time)
), entry AS (
    INSERT INTO entries (merchant_id, journal_id, account, amount)
    SELECT CAST(:merchant_id AS uuid), CAST(:id AS uuid), moved.account, moved.amount
    FROM repaid, LATERAL (
        VALUES ('available', CAST(:available AS bigint) - repaid.amount), ('held', :held), ('spent', :spent),
               ('granted', :granted), ('purchased', :purchased), ('debt', :debt + repaid.amount)
    ) AS moved (account, amount)
    WHERE moved.amount <> 0
)
UPDATE wallets SET available = available + :available - repaid.amount, held = held + :held, spent = spent + :spent,
                   granted = granted - :granted, purchased = purchased - :purchased, debt = debt - :debt - repaid.amount
FROM repaid WHERE merchant_id = :merchant_id
""")


@dataclass(frozen=True, slots=True)
class Journal:
    """Why credits move: unique by `key` in a merchant's ledger, with the hash of the request that moved them."""

    id: str
    key: str
    request_hash: bytes
    kind: "Transaction.Kind.ValueType"
    create_time: datetime
    hold_id: str | None = None
    reason: str = ""


class JournalStatements(Store):
    metadata = metadata

    async def booked(self, key: str, request_hash: bytes, answer: type[Answer]) -> Answer | None:
        """What this key was answered before, if it was. Refuses `KeyReused`."""
        query = select(journals.c.request_hash, journals.c.answer).filter_by(merchant_id=self.merchant_id, key=key)
        row = (await self.connection.execute(query)).one_or_none()
        if row is None:
            return None
        if row.request_hash != request_hash:
            raise KeyReused(key=key)
        return answer.FromString(row.answer)

    async def book(self, journal: Journal, movement: Movement, answer: Answer) -> Answer:
        """Writes a journal, its entries and the balances. The wallet's row is locked from here to the commit."""
        row = asdict(journal) | asdict(movement) | {"kind": Transaction.Kind.Name(journal.kind)}
        row |= {"merchant_id": self.merchant_id, "answer": answer.SerializeToString()}
        await self.connection.execute(BOOK, row)
        return answer

    async def transactions(self, after: int | None, limit: int) -> list[tuple[int, Transaction]]:
        """With their numbers, newest first."""
        changes = [self._change(account) for account in ("available", "held", "spent", "debt")]
        query = select(journals.c.number, *rows.columns(Transaction, journals), *changes)
        found = await self.connection.execute(numbered.page(query, journals, self.merchant_id, after, limit))
        return [numbered.message(Transaction, row) for row in found]

    def _change(self, account: str) -> Any:
        # A debt is the other side of its account, like what was granted and purchased.
        amount = -entries.c.amount if account == "debt" else entries.c.amount
        of_journal = select(amount).where(
            entries.c.merchant_id == self.merchant_id,
            entries.c.journal_id == journals.c.id,
            entries.c.account == account,
        )
        return func.coalesce(of_journal.scalar_subquery(), literal(0)).label(f"{account}_change")
