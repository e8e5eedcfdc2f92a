"""What the database itself holds to, whatever the service's code does."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from astronote.wallet.v1 import wallet_pb2 as pb
from services.wallet import audit, ledger
from services.wallet.audit import Recount
from services.wallet.store import WalletStore
from services.wallet.store.journals import Journal
from tests.wallet.client import Client, new_id, refused

TABLES = ("wallets", "holds", "journals", "entries", "subscriptions")
ROLES = ("owner_url", "url", "pipeline_url")


@pytest.fixture
async def wallet(mesh: Any, merchant_id: str) -> Client:
    client = Client(mesh, merchant_id)
    await client.register(1000, "starter")
    await client("Hold", hold_id=new_id(), amount=10)
    return client


@asynccontextmanager
async def connected(wallet: Client, role: str) -> AsyncIterator[AsyncConnection]:
    """A transaction of this role about the merchant; rolled back."""
    engine = create_async_engine(getattr(wallet.mesh.database("wallet"), role))
    async with engine.connect() as connection:
        await connection.execute(text(f"SET astronote.merchant_id = '{wallet.merchant_id}'"))
        yield connection
    await engine.dispose()


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("table", ["journals", "entries"])
@pytest.mark.parametrize(
    "statement", ["UPDATE {} SET merchant_id = merchant_id", "DELETE FROM {}", "TRUNCATE {} CASCADE"]
)
async def test_the_ledger_is_append_only_for_every_role(wallet: Client, role: str, table: str, statement: str):
    refusal = "must be owner|permission denied|append-only" if "TRUNCATE" in statement else "append-only"
    async with connected(wallet, role) as connection:
        with pytest.raises(DBAPIError, match=refusal):
            await connection.execute(text(statement.format(table)))


@pytest.mark.parametrize("role", ROLES)
async def test_entries_that_do_not_sum_to_zero_are_refused(wallet: Client, role: str):
    async with connected(wallet, role) as connection:
        journal_id = (
            await connection.execute(
                text("""
                    INSERT INTO journals (id, merchant_id, key, request_hash, answer, kind, reason, create_time)
                    VALUES (gen_random_uuid(), :merchant_id, 'odd', '', '', 'GRANT', '', now()) RETURNING id
                """),
                {"merchant_id": wallet.merchant_id},
            )
        ).scalar_one()
        with pytest.raises(DBAPIError, match="sum to zero"):
            await connection.execute(
                text(
                    "INSERT INTO entries VALUES (:merchant_id, :id, 'available', 5), (:merchant_id, :id, 'granted', -4)"
                ),
                {"merchant_id": wallet.merchant_id, "id": journal_id},
            )


@pytest.mark.parametrize(
    ("statement", "constraint"),
    [
        ("UPDATE wallets SET available = -1, held = held + available + 1", "wallets_available_check"),
        ("UPDATE wallets SET held = -1, available = available + held + 1", "wallets_held_check"),
        ("UPDATE wallets SET available = available + 1", "wallets_sum_check"),
        ("UPDATE wallets SET debt = 1, available = available + 1", "wallets_debt_check"),
        ("UPDATE wallets SET debt = -1, held = held - 1", "wallets_debt_check"),
        ("UPDATE holds SET captured = 6, released = 5", "holds_exceeded_check"),
        ("UPDATE holds SET captured = -1", "holds_positive_check"),
        ("UPDATE holds SET state = 'CLOSED'", "holds_closed_check"),
    ],
)
async def test_balances_and_holds_keep_their_bounds(wallet: Client, statement: str, constraint: str):
    async with connected(wallet, "url") as connection:
        with pytest.raises(DBAPIError, match=constraint):
            await connection.execute(text(statement))


async def test_whatever_comes_in_pays_a_debt_first(wallet: Client, mesh: Any):
    hold_id = new_id()
    await wallet("Hold", hold_id=hold_id, amount=90)
    async with WalletStore.open(mesh.app("wallet").database, wallet.merchant_id) as store:
        movement = ledger.granted(await store.locked_wallet(), -1200)
        await store.book(
            Journal(new_id(), "back", b"", pb.Transaction.REFUND, datetime.now(UTC)), movement, pb.Wallet()
        )
    found = await wallet("GetWallet")
    assert (found.available, found.held, found.granted, found.debt) == (0, 100, -200, 300)
    assert await refused(wallet("Hold", hold_id=new_id(), amount=10)) == (
        "INSUFFICIENT_CREDITS",
        {"available": "0", "shortfall": "310"},
    )
    await wallet.settle(hold_id, "a", capture=20, release=30)
    await wallet("CloseHold", hold_id=hold_id, captured=20)
    assert (await wallet("GetWallet")).debt == 230
    granted = await wallet.grant(250)
    assert (granted.available, granted.debt) == (20, 0)
    assert await wallet.balances() == (20, 10, 20)
    moved = (await wallet("ListTransactions", "gateway")).transactions
    changes = [(one.available_change, one.held_change, one.spent_change, one.debt_change) for one in moved[:4]]
    assert changes == [(20, 0, 0, -230), (0, -40, 0, -40), (0, -50, 20, -30), (-900, 0, 0, 300)]


async def test_a_query_that_forgets_its_merchant_sees_nothing_of_others(wallet: Client, mesh: Any):
    other = Client(mesh, str(uuid.uuid4()))
    await other.register(5)
    for asks, expected in ((wallet, [1, 1, 2, 4, 1]), (other, [1, 0, 1, 2, 0])):
        async with WalletStore.open(mesh.app("wallet").database, asks.merchant_id) as store:
            counts = [await store.connection.scalar(text(f"SELECT count(*) FROM {table}")) for table in TABLES]
        assert counts == expected
    async with mesh.app("wallet").database.merchants.begin() as nobody:
        counts = [await nobody.scalar(text(f"SELECT count(*) FROM {table}")) for table in TABLES]
    assert counts == [0, 0, 0, 0, 0]


async def test_the_recount_reads_zero_and_sees_what_is_wrong(wallet: Client, mesh: Any):
    database = mesh.app("wallet").database
    await Recount(database).step()
    assert audit.DISCREPANCIES._value.get() == 0
    tampering = (
        "UPDATE wallets SET available = available + 1, granted = granted + 1 WHERE merchant_id = :merchant_id",
        "UPDATE holds SET captured = 1 WHERE merchant_id = :merchant_id",
        "INSERT INTO wallets (merchant_id, available, granted, create_time) VALUES (gen_random_uuid(), 1, 1, now())",
    )
    for statement in tampering:
        async with WalletStore.open_pipeline(database) as store:
            await store.connection.execute(text(statement), {"merchant_id": wallet.merchant_id})
            assert await store.discrepancies() == 1
            await store.driver.rollback()


async def test_one_replica_recounts_at_a_time(mesh: Any, monkeypatch: pytest.MonkeyPatch):
    database = mesh.app("wallet").database
    said = list[float]()
    monkeypatch.setattr(audit.DISCREPANCIES, "set", said.append)
    async with WalletStore.open_pipeline(database) as other:
        assert await other.may_recount()
        await Recount(database).step()
        assert said == []
    await Recount(database).step()
    assert said == [0]


async def test_the_recount_sees_a_journal_that_does_not_balance(wallet: Client):
    """The trigger that refuses it is taken away, by the one role that can; all of it is rolled back."""
    async with connected(wallet, "owner_url") as connection:
        await connection.execute(text("ALTER TABLE entries DISABLE TRIGGER balanced"))
        await connection.execute(
            text("""
                INSERT INTO entries SELECT merchant_id, id, 'purchased', -1 FROM journals
                WHERE merchant_id = :merchant_id AND kind = 'GRANT'
            """),
            {"merchant_id": wallet.merchant_id},
        )
        # An unbalanced journal, and a wallet that is not its sum.
        assert await WalletStore(connection, "").discrepancies() == 2
        await connection.rollback()


async def test_the_recount_reads_zero_at_every_instant_while_fifty_move(wallet: Client, mesh: Any):
    async def move() -> None:
        hold_id = new_id()
        await wallet("Hold", hold_id=hold_id, amount=10)
        await wallet.settle(hold_id, "a", capture=3, release=2)
        await wallet("CloseHold", hold_id=hold_id, captured=3)

    moving = asyncio.gather(*(move() for _ in range(50)))
    looks = 0
    while not moving.done():
        async with WalletStore.open_pipeline(mesh.app("wallet").database) as store:
            assert await store.discrepancies() == 0
        looks += 1
    await moving
    assert looks > 1


amounts = st.integers(-1, 60)
keys = st.sampled_from("abc")
operations = st.one_of(
    st.tuples(st.just("grant"), keys, amounts),
    st.tuples(st.just("hold"), keys, amounts),
    st.tuples(st.just("settle"), keys, keys, amounts, amounts),
    st.tuples(st.just("close"), keys, amounts),
)


class Model:
    """The simplest wallet that keeps the rules: whether an operation is refused, and the balances after it."""

    def __init__(self) -> None:
        self.available = self.spent = 0
        self.holds: dict[str, list[int]] = {}  # amount, captured, released
        self.closed: set[str] = set()
        self.seen: dict[tuple[str, ...], tuple[Any, ...]] = {}

    def apply(self, kind: str, *arguments: Any) -> bool:
        """False where the wallet has to refuse."""
        key = (kind, *(argument for argument in arguments if isinstance(argument, str)))
        if kind in ("settle", "close") and arguments[0] not in self.holds:
            return False
        if key in self.seen and (kind != "hold" or arguments[-1] > 0):
            return self.seen[key] == arguments
        if not getattr(self, kind)(*arguments):
            return False
        self.seen[key] = arguments
        return True

    def grant(self, _: str, amount: int) -> bool:
        self.available += max(amount, 0)
        return amount > 0

    def hold(self, hold: str, amount: int) -> bool:
        if not 0 < amount <= self.available:
            return False
        self.available -= amount
        self.holds[hold] = [amount, 0, 0]
        return True

    def settle(self, hold: str, _: str, capture: int, release: int) -> bool:
        amount, captured, released = self.holds[hold]
        if hold in self.closed:
            return capture == 0 and 0 <= release <= released
        if min(capture, release) < 0 or capture + release > amount - captured - released:
            return False
        self.holds[hold] = [amount, captured + capture, released + release]
        self.available, self.spent = self.available + release, self.spent + capture
        return True

    def close(self, hold: str, expected: int) -> bool:
        amount, captured, released = self.holds[hold]
        if captured != expected:
            return False
        self.available += amount - captured - released
        self.holds[hold] = [amount, captured, amount - captured]
        self.closed.add(hold)
        return True

    def balances(self) -> tuple[int, int, int]:
        return self.available, sum(amount - used - back for amount, used, back in self.holds.values()), self.spent


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.lists(operations, min_size=5, max_size=30))
async def test_any_sequence_of_calls_ends_as_the_model_says(mesh: Any, sequence: list[tuple[Any, ...]]):
    wallet, model, ids = Client(mesh, new_id()), Model(), {key: new_id() for key in "abc"}
    await wallet.register()
    for kind, *arguments in sequence:
        answer = grpc.StatusCode.OK
        try:
            await _call(wallet, ids, kind, *arguments)
        except grpc.aio.AioRpcError as error:
            answer = error.code()
        # A refusal is one that the model makes too; a failure never is.
        assert (answer is grpc.StatusCode.OK) == model.apply(kind, *arguments), answer
        assert answer is not grpc.StatusCode.INTERNAL
        assert await wallet.balances() == model.balances()
    async with WalletStore.open_pipeline(mesh.app("wallet").database) as store:
        assert await store.discrepancies() == 0


async def _call(wallet: Client, ids: dict[str, str], kind: str, key: str, *arguments: Any) -> None:
    match kind:
        case "grant":
            await wallet.grant(arguments[0], request_id=key)
        case "hold":
            await wallet("Hold", hold_id=ids[key], amount=arguments[0])
        case "settle":
            await wallet.settle(ids[key], *arguments)
        case "close":
            await wallet("CloseHold", hold_id=ids[key], captured=arguments[0])
