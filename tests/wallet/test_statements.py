"""Statements: what stands in a month, and that its lines add up to the balance, whatever moved and when."""

import csv
import hashlib
import re
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from astronote.wallet.v1 import statements_pb2 as pb
from astronote.wallet.v1.statements_pb2_grpc import StatementsServiceStub
from astronote.wallet.v1.wallet_pb2 import Transaction, Wallet
from services.wallet import ledger, statements
from services.wallet.errors import StatementMonthInvalid
from services.wallet.ledger import Movement
from services.wallet.statements import Balances
from services.wallet.store import WalletStore
from services.wallet.store.journals import Journal
from tests.wallet.client import Client, new_id, reason
from tests.wallet.test_catalogue import registered

STANDS = Balances._fields
CHANGES = tuple(f"{name}_change" for name in STANDS)


async def statement(mesh: Any, merchant_id: str, month: str, **fields: Any) -> str:
    peer = await mesh.service("wallet")
    stub, metadata = StatementsServiceStub(peer.channel), peer.metadata(merchant_id, role="merchant")
    request = pb.GetStatementRequest(month=month, **fields)
    pieces = [piece async for piece in stub.GetStatement(request, metadata=metadata, timeout=20)]
    return b"".join(piece.data for piece in pieces).decode()


async def lines(mesh: Any, merchant_id: str, month: str) -> list[dict[str, str]]:
    text = await statement(mesh, merchant_id, month)
    assert text.startswith("\ufeff")
    return list(csv.DictReader(text[1:].splitlines()))


def stands(line: dict[str, str]) -> Balances:
    return Balances(*(int(line[name]) for name in STANDS))


def check_sum(found: list[dict[str, str]]) -> None:
    """The lines lead from the opening to the closing balances, each to the next."""
    assert (found[0]["kind"], found[-1]["kind"]) == ("OPENING", "CLOSING")
    balances = stands(found[0])
    for line in found[1:]:
        balances = balances.after(Balances(*(int(line[name]) for name in CHANGES)))
        assert stands(line) == balances


def this_month() -> str:
    return f"{datetime.now(ZoneInfo('Europe/Athens')):%Y-%m}"


@pytest.fixture
async def wallet(mesh: Any) -> Client:
    client = Client(mesh, await registered(mesh, "GR"))
    await client.open(1000)
    return client


async def test_the_running_month_ends_with_the_balance(wallet: Client, mesh: Any):
    await wallet.grant(50, reason="=1+1 Δώρο")
    hold_id = new_id()
    await wallet("Hold", hold_id=hold_id, amount=300)
    await wallet.settle(hold_id, "a", capture=200, release=50)
    await wallet("CloseHold", hold_id=hold_id, captured=200)
    found = await lines(mesh, wallet.merchant_id, this_month())
    check_sum(found)
    assert [line["kind"] for line in found[1:-1]] == ["GRANT", "GRANT", "HOLD", "SETTLE", "CLOSE"]
    assert stands(found[-1]) == Balances(*await wallet.balances()) == (850, 0, 200, 0)
    assert found[2]["reason"] == "'=1+1 Δώρο"
    assert {line["hold_id"] for line in found[3:-1]} == {hold_id}
    assert found[0]["time"] == f"{this_month()}-01T00:00:00{found[0]['time'][-6:]}"


async def test_the_page_says_the_same_by_day(wallet: Client, mesh: Any):
    hold_id = new_id()
    await wallet("Hold", hold_id=hold_id, amount=300)
    await wallet.settle(hold_id, "a", capture=200)
    greek = await statement(mesh, wallet.merchant_id, this_month(), format=pb.GetStatementRequest.PAGE)
    assert '<html lang="el">' in greek
    assert "Τελικό υπόλοιπο" in greek
    english = await statement(
        mesh,
        wallet.merchant_id,
        this_month(),
        format=pb.GetStatementRequest.PAGE,
        language=pb.GetStatementRequest.EN,
    )
    rows = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in re.findall(r"<tr.*?</tr>", english, re.DOTALL)[1:]]
    assert [row[1] for row in rows] == ["Opening balance", "Given", "Set aside for sending", "Sent", "Closing balance"]
    assert [row[6] for row in rows] == ["0", "1\u202f000", "700", "700", "700"]
    assert rows[2][3:6] == ["−300", "+300", ""]


async def test_a_shop_of_whatever_name_spoils_no_page(mesh: Any):
    merchant_id = await registered(mesh, "GR", company="<script>alert(1)</script>")
    page = await statement(mesh, merchant_id, this_month(), format=pb.GetStatementRequest.PAGE)
    assert "<script" not in page


async def test_a_merchant_without_a_wallet_has_nothing(mesh: Any):
    found = await lines(mesh, await registered(mesh, "GR"), "2020-01")
    assert [line["kind"] for line in found] == ["OPENING", "CLOSING"]
    assert stands(found[0]) == (0, 0, 0, 0)


@pytest.mark.parametrize("month", ["2026-13", "2026-1", "1999-12", "next", "2026-01-01", "2099-01"])
async def test_a_month_that_is_none_or_to_come_is_refused(wallet: Client, mesh: Any, month: str):
    assert await reason(statement(mesh, wallet.merchant_id, month)) == "STATEMENT_MONTH_INVALID"


def test_a_month_is_the_merchants_own_across_clock_changes_and_years():
    now = datetime(2027, 6, 1, tzinfo=UTC)
    march = statements.month("2026-03", "Europe/Athens", now)
    assert march.start_time.astimezone(UTC) == datetime(2026, 2, 28, 22, tzinfo=UTC)
    assert march.end_time.astimezone(UTC) == datetime(2026, 3, 31, 21, tzinfo=UTC)
    december = statements.month("2026-12", "Pacific/Auckland", now)
    assert december.end_time == statements.month("2027-01", "Pacific/Auckland", now).start_time
    # It ends now where it is not over.
    assert statements.month("2027-06", "UTC", now + timedelta(hours=1)).end_time == now + timedelta(hours=1)
    with pytest.raises(StatementMonthInvalid):
        statements.month("2027-06", "America/New_York", now)


moves = st.lists(
    st.tuples(
        st.sampled_from(["GRANT", "HOLD", "SETTLE", "CLOSE", "EXPIRE", "REFUND"]),
        st.integers(1, 60),
        st.integers(0, 66 * 86400).map(lambda seconds: datetime(2026, 1, 28, tzinfo=UTC) + timedelta(seconds=seconds)),
    ),
    min_size=1,
    max_size=25,
)


@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moves, st.sampled_from(["Europe/Athens", "UTC", "Pacific/Kiritimati", "America/St_Johns"]))
async def test_every_month_begins_where_the_last_one_ended_and_the_last_ends_with_the_balance(
    mesh: Any, monkeypatch: pytest.MonkeyPatch, sequence: list[tuple[str, int, datetime]], time_zone: str
):
    await mesh.service("wallet")
    merchant_id, database = new_id(), mesh.app("wallet").database
    monkeypatch.setattr("services.wallet.store.statements.PAGE_SIZE", 3)
    wallet = await moved(database, merchant_id, sequence)
    now, balances = datetime(2026, 5, 1, tzinfo=UTC), Balances()
    async with WalletStore.open_snapshot(database, merchant_id) as store:
        count = 0
        for name in ("2026-01", "2026-02", "2026-03", "2026-04"):
            month = statements.month(name, time_zone, now)
            assert await store.balances_at(month.start_time) == balances
            sheet = statements.Sheet(month, balances)
            async for page in store.lines_of(month):
                sheet.write(page)
                count += len(page)
            by_day = balances
            for day in await store.days_of(month):
                assert day.day.startswith(name)
                by_day = by_day.after(day.change)
            sheet.close()
            assert by_day == sheet.balances
            check_sum(list(csv.DictReader(sheet.taken().decode()[1:].splitlines())))
            balances = sheet.balances
    assert balances == (wallet.available, wallet.held, wallet.spent, wallet.debt)
    assert count == sum(1 for _ in sequence)


async def moved(database: Any, merchant_id: str, sequence: list[tuple[str, int, datetime]]) -> Wallet:
    """A wallet with these journals, each as large as the balances allow, booked at these times."""
    async with WalletStore.open(database, merchant_id) as store:
        await store.open_wallet(datetime.now(UTC))
        for kind, amount, time in sequence:
            wallet = await store.locked_wallet()
            movement = {
                "GRANT": Movement(available=amount, granted=-amount),
                "HOLD": hold(min(amount, wallet.available)),
                "SETTLE": Movement(held=-min(amount, wallet.held), spent=min(amount, wallet.held)),
                "CLOSE": hold(-min(amount, wallet.held)),
                "EXPIRE": ledger.expired(min(amount, wallet.available)),
                # Of what is used already a debt is left, which the next grant pays.
                "REFUND": ledger.granted(wallet, -amount),
            }[kind]
            key, number = str(uuid.uuid4()), Transaction.Kind.Value(kind)
            journal = Journal(str(uuid.uuid4()), key, hashlib.sha256(key.encode()).digest(), number, time)
            await store.book(journal, movement, Wallet())
        return await store.wallet()


def hold(amount: int) -> Movement:
    return Movement(available=-amount, held=amount)
