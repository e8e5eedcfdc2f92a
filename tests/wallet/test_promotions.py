"""The order in which credits are spent where some expire, without a database: held against a count that keeps every
credit apart.
"""

from hypothesis import given
from hypothesis import strategies as st

from astronote.wallet.v1.promotions_pb2 import Promotion
from astronote.wallet.v1.wallet_pb2 import Wallet
from services.wallet import promotions

steps = st.lists(
    st.one_of(
        st.tuples(st.just("buy"), st.integers(1, 50)),
        st.tuples(st.just("give"), st.integers(1, 50), st.integers(1, 9)),
        st.tuples(st.just("use"), st.integers(1, 50)),
        st.tuples(st.just("end"), st.integers(1, 9)),
    ),
    max_size=30,
)


class Purse:
    """Every credit has the day of its end (10: never) from the beginning; whoever spends takes the soonest."""

    def __init__(self) -> None:
        self.credits: list[int] = []

    def use(self, amount: int) -> None:
        self.credits = sorted(self.credits)[amount:]

    def end(self, day: int) -> int:
        ended = sum(credit <= day for credit in self.credits)
        self.credits = [credit for credit in self.credits if credit > day]
        return ended


class Counted:
    """The wallet, which looks at its promotions only when one comes or ends."""

    def __init__(self) -> None:
        self.wallet, self.found, self.used = Wallet(), list[tuple[int, Promotion]](), 0

    def look(self) -> None:
        self.found.sort(key=lambda each: each[0])
        promotions.count([promotion for _, promotion in self.found], self.wallet, self.used)
        self.used = promotions.used(self.wallet)

    def give(self, amount: int, day: int) -> None:
        self.look()
        self.found.append((day, Promotion(amount=amount, remaining=amount)))
        self.wallet.available += amount

    def end(self, day: int) -> int:
        self.look()
        ended = sum(promotion.remaining for end, promotion in self.found if end <= day)
        self.found = [each for each in self.found if each[0] > day]
        self.wallet.available -= ended
        return ended


@given(steps)
def test_it_comes_to_what_a_count_of_every_credit_comes_to(sequence: list[tuple[str, int]]) -> None:
    purse, counted = Purse(), Counted()
    for kind, amount, *rest in sequence:
        match kind:
            case "buy":
                purse.credits += [10] * amount
                counted.wallet.available += amount
            case "give":
                purse.credits += rest * amount
                counted.give(amount, *rest)
            case "use":
                taken = min(amount, len(purse.credits))
                purse.use(taken)
                # Half of it is only held.
                counted.wallet.available -= taken
                counted.wallet.held += taken // 2
                counted.wallet.spent += taken - taken // 2
            case "end":
                assert counted.end(amount) == purse.end(amount)
        assert counted.wallet.available == len(purse.credits)


def test_more_than_is_available_a_promotion_never_has() -> None:
    """A payment that was taken back has emptied the wallet past what was promised."""
    soon, later = Promotion(amount=10, remaining=10), Promotion(amount=10, remaining=10)
    promotions.count([soon, later], Wallet(available=5), 0)
    assert (soon.remaining, later.remaining) == (0, 5)


def test_what_a_hold_gives_back_is_not_put_back() -> None:
    promotion = Promotion(amount=10, remaining=10)
    promotions.count([promotion], Wallet(available=6, held=4), 0)
    promotions.count([promotion], Wallet(available=10), 4)
    assert promotion.remaining == 6
