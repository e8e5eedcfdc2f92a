"""The ledger's arithmetic, without a database."""

from dataclasses import astuple
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astronote.wallet.v1.wallet_pb2 import HoldRecord, Wallet
from kit.errors import DomainError
from services.wallet import ledger
from services.wallet.errors import AmountInvalid, HoldClosed, HoldExceeded, HoldUnsettled, InsufficientCredits

amounts = st.integers(0, 1000)


@given(st.integers(1, 1000), st.lists(st.tuples(amounts, amounts), max_size=5))
def test_every_movement_sums_to_zero_and_a_closed_hold_is_used_up(amount: int, settlements: list[tuple[int, int]]):
    shapes = [HoldRecord(), ledger.opened("h", amount)]
    for capture, release in settlements:
        if capture + release <= ledger.left(shapes[-1]):
            shapes.append(ledger.settled(shapes[-1], capture, release))
    shapes.append(ledger.closed(shapes[-1], shapes[-1].captured))
    movements = [ledger.between(before, after) for before, after in pairwise(shapes)]
    assert [sum(astuple(movement)) for movement in movements] == [0] * len(movements)
    assert sum(movement.held for movement in movements) == 0
    assert sum(movement.spent for movement in movements) == shapes[-1].captured
    assert shapes[-1].captured + shapes[-1].released == amount


def test_a_grant_credits_what_it_debits():
    movement = ledger.grant(Wallet(granted=5), 7)
    assert (movement.available, movement.granted, sum(astuple(movement))) == (7, -7, 0)


@given(st.lists(st.tuples(st.booleans(), st.integers(-50, 50)), max_size=20))
def test_what_is_taken_back_is_owed_where_it_was_spent_and_what_comes_in_pays_it(changes: list[tuple[bool, int]]):
    wallet = Wallet(available=20, spent=30, purchased=50)
    for is_bought, change in changes:
        movement = (ledger.purchased if is_bought else ledger.granted)(wallet, change)
        assert sum(astuple(movement)) == 0
        wallet = ledger.after(wallet, movement)
        assert wallet.available >= 0
        assert wallet.debt == 0 or (wallet.debt > 0 and wallet.available == 0)
    assert wallet.available - wallet.debt == 20 + sum(change for _, change in changes)


OPEN = HoldRecord(id="h", amount=10, captured=3, released=2, state=HoldRecord.OPEN)
CLOSED = HoldRecord(id="h", amount=10, captured=3, released=7, state=HoldRecord.CLOSED)
REFUSALS = [
    (lambda: ledger.grant(Wallet(), 0), AmountInvalid, {"field": "amount"}),
    (lambda: ledger.grant(Wallet(), -1), AmountInvalid, {"field": "amount"}),
    (lambda: ledger.grant(Wallet(), ledger.GRANT_MAX + 1), AmountInvalid, {"field": "amount"}),
    (lambda: ledger.grant(Wallet(granted=2**31 - 10, purchased=9), 1), AmountInvalid, {"field": "amount"}),
    (lambda: ledger.opened("h", -1), AmountInvalid, {"field": "amount"}),
    (lambda: ledger.purchased(Wallet(debt=2**31 - 10), 10), AmountInvalid, {"field": "amount"}),
    (
        lambda: ledger.check_affordable(3, 5, 0),
        InsufficientCredits,
        {"available": "3", "shortfall": "2"},
    ),
    (lambda: ledger.check_affordable(0, 5, 3), InsufficientCredits, {"available": "0", "shortfall": "8"}),
    (lambda: ledger.settled(OPEN, -1, 0), AmountInvalid, {"field": "capture"}),
    (lambda: ledger.settled(OPEN, 0, -1), AmountInvalid, {"field": "release"}),
    (lambda: ledger.settled(OPEN, 6, 0), HoldExceeded, {"left": "5", "exceeded_by": "1"}),
    (lambda: ledger.settled(OPEN, 2**31 - 1, 2**31 - 1), HoldExceeded, {"left": "5"}),
    (lambda: ledger.settled(CLOSED, 1, 0), HoldClosed, {"hold_id": "h"}),
    (lambda: ledger.settled(CLOSED, 0, 8), HoldClosed, {"hold_id": "h"}),
    (lambda: ledger.closed(OPEN, 4), HoldUnsettled, {"captured": "3", "expected": "4"}),
]


@pytest.mark.parametrize(("act", "refusal", "metadata"), REFUSALS)
def test_refusals(act, refusal: type[DomainError], metadata: dict[str, str]):
    with pytest.raises(refusal) as raised:
        act()
    assert raised.value.metadata.items() >= metadata.items()


def test_a_release_that_the_close_overtook_moves_nothing():
    assert ledger.settled(CLOSED, 0, 7) == CLOSED
    assert ledger.between(CLOSED, ledger.settled(CLOSED, 0, 0)) == ledger.Movement()
