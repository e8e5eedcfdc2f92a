"""How many credits a payment is worth, given what was taken back of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from astronote.wallet.v1.billing_pb2 import Purchase
from astronote.wallet.v1.wallet_pb2 import Transaction
from services.wallet.reading import Payment


class Change(NamedTuple):
    """So many credits more or, where negative, fewer."""

    kind: "Transaction.Kind.ValueType"
    credits: int


@dataclass(frozen=True, slots=True)
class Standing:
    """The credits of a purchase: gained with it, and of these given back with a refund, and frozen in a dispute."""

    gained: int = 0
    refunded: int = 0
    disputed: int = 0

    def changes_from(self, before: "Standing", gain: "Transaction.Kind.ValueType") -> Iterator[Change]:
        """What has to be booked to come here from there; `gain` is the kind of what comes in."""
        for kind, change in (
            (gain, self.gained - before.gained),
            (Transaction.REFUND, before.refunded - self.refunded),
            (Transaction.DISPUTE, before.disputed - self.disputed),
        ):
            if change:
                yield Change(kind, change)


def standing(credits: int, payment: Payment) -> Standing:
    """In proportion to the money, rounded half up, of all of it together: so no order of refunds makes a difference."""
    if payment.state != Purchase.PAID:
        return Standing()
    refunded = _share(credits, payment.refunded_cents, payment.total_cents)
    disputed = _share(credits, payment.disputed_cents, payment.total_cents)
    return Standing(credits, refunded, min(disputed, credits - refunded))


def is_as_asked(payment: Payment, currency: str, total_cents: int) -> bool:
    """Whether what was paid is what was asked for: a cent short is not."""
    if payment.state != Purchase.PAID:
        return True
    return (payment.currency, payment.total_cents) == (currency, total_cents)


def _share(credits: int, cents: int, total_cents: int) -> int:
    if not total_cents:
        return 0
    return (2 * credits * min(cents, total_cents) + total_cents) // (2 * total_cents)
