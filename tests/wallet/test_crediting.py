"""What a payment is worth, and what a look at Stripe changes, whatever was seen before."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astronote.wallet.v1.billing_pb2 import Purchase
from astronote.wallet.v1.wallet_pb2 import Transaction
from services.wallet import reading
from services.wallet.bookkeeping import Bookkeeper
from services.wallet.crediting import Standing, is_as_asked, standing
from services.wallet.reading import Cause, Payment
from services.wallet.welcome import Welcome
from tests.conftest import TestMesh
from tests.wallet.buyer import Buyer

cents = st.integers(0, 10_000)


def payment(total: int, refunded: int = 0, disputed: int = 0, state: int = Purchase.PAID) -> Payment:
    return Payment("", "", state, "EUR", total, refunded, disputed)


@given(st.integers(0, 10**7), st.lists(st.tuples(cents, cents), min_size=1, max_size=5), cents)
def test_what_is_booked_step_by_step_is_what_is_booked_at_once(credits: int, steps: list[tuple[int, int]], total: int):
    now, balance = Standing(), 0
    for refunded, disputed in steps:
        becomes = standing(credits, payment(total, refunded, disputed))
        assert min(becomes.refunded, becomes.disputed, becomes.gained - becomes.refunded - becomes.disputed) >= 0
        balance += sum(change.credits for change in becomes.changes_from(now, Transaction.PURCHASE))
        now = becomes
    assert balance == now.gained - now.refunded - now.disputed
    assert now == standing(credits, payment(total, *steps[-1]))


@pytest.mark.parametrize(
    ("refunded", "disputed", "expected"),
    [
        (0, 0, Standing(1000)),
        (5580, 0, Standing(1000, 1000)),
        (5579, 0, Standing(1000, 1000)),
        (5577, 0, Standing(1000, 999)),
        (1, 0, Standing(1000, 0)),
        (3, 0, Standing(1000, 1)),
        (2790, 5580, Standing(1000, 500, 500)),
        (99_999, 99_999, Standing(1000, 1000, 0)),
    ],
)
def test_what_is_taken_back_is_in_proportion(refunded: int, disputed: int, expected: Standing):
    assert standing(1000, payment(5580, refunded, disputed)) == expected


@pytest.mark.parametrize("state", [Purchase.OPEN, Purchase.FAILED, Purchase.EXPIRED])
def test_what_is_not_paid_is_worth_nothing(state: int):
    assert standing(1000, payment(5580, 10, 10, state)) == Standing()


def test_a_cent_or_a_currency_beside_it_is_not_what_was_asked_for():
    assert is_as_asked(payment(5580), "EUR", 5580)
    assert not is_as_asked(payment(5579), "EUR", 5580)
    assert not is_as_asked(payment(5581), "EUR", 5580)
    assert not is_as_asked(payment(5580), "USD", 5580)


@pytest.mark.parametrize(
    ("type", "about", "expected"),
    [
        ("checkout.session.completed", {"id": "cs"}, Cause("session", "cs")),
        ("invoice.paid", {"id": "in"}, Cause("invoice", "in")),
        ("invoice.upcoming", {}, None),
        ("customer.subscription.paused", {"id": "sub", "customer": "cus"}, Cause("customer", "cus")),
        ("customer.created", {"id": "cus"}, None),
        ("refund.failed", {"id": "re", "payment_intent": "pi"}, Cause("payment", "pi")),
        ("charge.refunded", {"id": "ch", "payment_intent": "pi"}, Cause("payment", "pi")),
        ("charge.refunded", {"id": "ch", "payment_intent": None}, None),
        ("charge.dispute.closed", {"id": "du", "payment_intent": "pi"}, Cause("payment", "pi")),
        ("charge.succeeded", {"id": "ch", "payment_intent": "pi"}, None),
        ("something.new", {"id": "x"}, None),
    ],
)
def test_an_event_says_only_where_to_look(type: str, about: dict[str, Any], expected: Cause | None):
    assert reading.cause({"type": type, "data": {"object": about}}) == expected


async def test_a_look_that_began_before_the_last_one_changes_nothing(buyer: Buyer, mesh: TestMesh):
    """A worker that was frozen writes down what it saw a while ago."""
    page = await buyer.checkout(1000)
    books = Bookkeeper(mesh.app("wallet").database, Welcome())
    for look, refunded, credits in (
        (10**9, 0, 1000),
        (10**9 - 1, 5580, 1000),
        (10**9, 5580, 1000),
        (10**9 + 1, 5580, 0),
    ):
        seen = Payment(buyer.merchant_id, page.purchase_id, Purchase.PAID, "EUR", 5580, refunded)
        await books.write([seen], look, datetime.now(UTC))
        assert await buyer.shown() == (credits, 0)
