"""All SQL of the wallet.

Locks: a transaction takes at most one hold and then at most one wallet, in this order, so that none waits in a circle.
Whoever holds the lock of a hold (or, where there is no hold, of the wallet) alone books under its keys.
"""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, TypeVar

from google.protobuf.message import Message
from sqlalchemy import Row, Select, func, literal, select, text, update
from sqlalchemy.dialects.postgresql import insert

from astronote.wallet.v1.wallet_pb2 import HoldRecord, Subscription, Transaction, Wallet
from kit import rows
from kit.store import Store
from services.wallet.errors import HoldNotFound, KeyReused, WalletNotFound
from services.wallet.ledger import Movement
from services.wallet.tables import entries, holds, journals, metadata, subscriptions, wallets

Answer = TypeVar("Answer", bound=Message)

# One round trip: the journal, its entries and the balances. The columns are those of the tables, in their words.
BOOK = text("""
WITH journal AS (
    INSERT INTO journals (id, merchant_id, key, request_hash, answer, kind, hold_id, reason, create_time)
    VALUES (:id, :merchant_id, :key, :request_hash, :answer, :kind, :hold_id, :reason, :create_time)
), entry AS (
    INSERT INTO entries (merchant_id, journal_id, account, amount)
    SELECT CAST(:merchant_id AS uuid), CAST(:id AS uuid), account, amount
    FROM (VALUES ('available', CAST(:available AS bigint)), ('held', :held), ('spent', :spent),
                 ('granted', :granted), ('purchased', :purchased)) AS moved (account, amount)
    WHERE amount <> 0
)
UPDATE wallets SET available = available + :available, held = held + :held, spent = spent + :spent,
                   granted = granted - :granted, purchased = purchased - :purchased
WHERE merchant_id = :merchant_id
""")

# What must never be: one snapshot of the whole ledger, held against itself.
RECOUNT = text("""
WITH replayed AS (
    SELECT merchant_id,
           coalesce(sum(amount) FILTER (WHERE account = 'available'), 0) AS available,
           coalesce(sum(amount) FILTER (WHERE account = 'held'), 0) AS held,
           coalesce(sum(amount) FILTER (WHERE account = 'spent'), 0) AS spent,
           -coalesce(sum(amount) FILTER (WHERE account = 'granted'), 0) AS granted,
           -coalesce(sum(amount) FILTER (WHERE account = 'purchased'), 0) AS purchased
    FROM entries GROUP BY merchant_id
), unbalanced AS (
    SELECT FROM entries GROUP BY merchant_id, journal_id HAVING sum(amount) <> 0
), wrong AS (
    SELECT FROM wallets w FULL JOIN replayed r USING (merchant_id)
    WHERE (coalesce(w.available, 0), coalesce(w.held, 0), coalesce(w.spent, 0),
           coalesce(w.granted, 0), coalesce(w.purchased, 0))
       <> (coalesce(r.available, 0), coalesce(r.held, 0), coalesce(r.spent, 0),
           coalesce(r.granted, 0), coalesce(r.purchased, 0))
), drifted AS (
    SELECT FROM holds h
    LEFT JOIN (
        SELECT j.merchant_id, j.hold_id,
               sum(amount) FILTER (WHERE account = 'held') AS held,
               sum(amount) FILTER (WHERE account = 'spent') AS spent
        FROM journals j JOIN entries e ON e.merchant_id = j.merchant_id AND e.journal_id = j.id
        WHERE j.hold_id IS NOT NULL GROUP BY j.merchant_id, j.hold_id
    ) b ON b.merchant_id = h.merchant_id AND b.hold_id = h.id
    WHERE (h.amount - h.captured - h.released, h.captured) <> (coalesce(b.held, 0), coalesce(b.spent, 0))
)
SELECT (SELECT count(*) FROM unbalanced) + (SELECT count(*) FROM wrong) + (SELECT count(*) FROM drifted)
""")

# Any number that no other advisory lock of this database uses.
RECOUNT_LOCK = 1
BALANCES = (wallets.c.available, wallets.c.held, wallets.c.spent, wallets.c.granted, wallets.c.purchased)
HOLD = rows.columns(HoldRecord, holds)
SUBSCRIPTION = rows.columns(Subscription, subscriptions)


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


class WalletStore(Store):
    metadata = metadata

    # Journals

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
        changes = [self._change(account) for account in ("available", "held", "spent")]
        query = select(journals.c.number, *rows.columns(Transaction, journals), *changes)
        found = await self.connection.execute(self._page(query, journals, after, limit))
        return [_numbered(Transaction, row) for row in found]

    def _change(self, account: str) -> Any:
        amount = select(entries.c.amount).where(
            entries.c.merchant_id == self.merchant_id,
            entries.c.journal_id == journals.c.id,
            entries.c.account == account,
        )
        return func.coalesce(amount.scalar_subquery(), literal(0)).label(f"{account}_change")

    # Wallets

    async def open_wallet(self, now: datetime) -> None:
        """Opens the merchant's wallet, unless it is open."""
        row = {"merchant_id": self.merchant_id, "create_time": now}
        await self.connection.execute(insert(wallets).values(row).on_conflict_do_nothing())

    async def is_open(self) -> bool:
        query = select(wallets.c.merchant_id).where(wallets.c.merchant_id == self.merchant_id)
        return (await self.connection.execute(query)).one_or_none() is not None

    async def wallet(self) -> Wallet:
        """Without its subscription."""
        query = select(*BALANCES).where(wallets.c.merchant_id == self.merchant_id)
        return rows.message(Wallet, (await self.connection.execute(query)).one())

    async def locked_wallet(self) -> Wallet:
        """Locked until the commit. Refuses `WalletNotFound`."""
        query = select(*BALANCES).where(wallets.c.merchant_id == self.merchant_id).with_for_update()
        row = (await self.connection.execute(query)).one_or_none()
        if row is None:
            raise WalletNotFound(merchant_id=self.merchant_id)
        return rows.message(Wallet, row)

    async def available(self) -> int:
        """Locked until the commit."""
        query = select(wallets.c.available).where(wallets.c.merchant_id == self.merchant_id).with_for_update()
        return int((await self.connection.execute(query)).scalar_one())

    async def may_recount(self) -> bool:
        """False while another replica counts; until the commit nobody else may."""
        return bool(await self.connection.scalar(select(func.pg_try_advisory_xact_lock(RECOUNT_LOCK))))

    async def discrepancies(self) -> int:
        """Wallets, journals and holds that a replay of the entries contradicts. Over all merchants."""
        return int((await self.connection.execute(RECOUNT)).scalar_one())

    # Holds

    async def add_hold(self, hold: HoldRecord, now: datetime) -> bool:
        """False where the merchant has a hold of this id; one that is being made is waited for."""
        row = {"merchant_id": self.merchant_id, "id": hold.id, "amount": hold.amount, "state": hold.state}
        result = await self.connection.execute(
            insert(holds).values(row | {"create_time": now}).on_conflict_do_nothing()
        )
        return bool(result.rowcount)

    async def locked_hold(self, id: str) -> HoldRecord:
        """Locked until the commit. Refuses `HoldNotFound`."""
        query = select(*HOLD).where(*self._hold(id)).with_for_update()
        row = (await self.connection.execute(query)).one_or_none()
        if row is None:
            raise HoldNotFound(hold_id=id)
        return rows.message(HoldRecord, row)

    async def change_hold(self, hold: HoldRecord) -> None:
        values = {"captured": hold.captured, "released": hold.released, "state": hold.state}
        await self.connection.execute(update(holds).where(*self._hold(hold.id)).values(values))

    async def holds(self, after: int | None, limit: int) -> list[tuple[int, HoldRecord]]:
        """With their numbers, newest first."""
        found = await self.connection.execute(self._page(select(holds.c.number, *HOLD), holds, after, limit))
        return [_numbered(HoldRecord, row) for row in found]

    def _hold(self, id: str) -> tuple[Any, Any]:
        return holds.c.merchant_id == self.merchant_id, holds.c.id == id

    # Subscriptions

    async def subscription(self) -> Subscription:
        query = select(*SUBSCRIPTION).where(subscriptions.c.merchant_id == self.merchant_id)
        row = (await self.connection.execute(query)).one_or_none()
        return rows.message(Subscription, row) if row else Subscription(state=Subscription.NONE)

    async def begin_subscription(self, plan: str) -> None:
        """Activates a plan without an end, unless the merchant has one."""
        row = {"merchant_id": self.merchant_id, "plan": plan, "state": Subscription.ACTIVE}
        await self.connection.execute(insert(subscriptions).values(row).on_conflict_do_nothing())

    def _page(self, query: Select[Any], table: Any, after: int | None, limit: int) -> Select[Any]:
        query = query.where(table.c.merchant_id == self.merchant_id).order_by(table.c.number.desc()).limit(limit)
        return query if after is None else query.where(table.c.number < after)


def _numbered(cls: type[Answer], row: Row[Any]) -> tuple[int, Answer]:
    values = dict(row._mapping)
    return values.pop("number"), cls(**values)
