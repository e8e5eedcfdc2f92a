"""The routes under `/_stand-in/`: what tests and the local mesh ask for and change."""

from collections.abc import Callable
from typing import Any

from deploy.local.stripe.book import Book, Object
from deploy.local.stripe.errors import RefusedError
from deploy.local.stripe.payments import Payments
from deploy.local.stripe.sessions import Sessions
from deploy.local.stripe.subscriptions import Subscriptions

DAY_SECONDS = 86_400


class Control:
    """Moves the clock, plays the bank."""

    def __init__(self, book: Book, payments: Payments, sessions: Sessions, subscriptions: Subscriptions) -> None:
        self._book, self._payments, self._sessions, self._subscriptions = book, payments, sessions, subscriptions
        self.requests = 0
        self._failures = 0
        self._calls: dict[str, Callable[[dict[str, Any]], Any]] = {
            "summary": lambda _: self.summary(),
            "advance": self._advance,
            "settle": lambda asked: sessions.settle(asked["session"], succeeded=asked["succeeded"]),
            "refund": payments.refund,
            "refunds:fail": lambda asked: payments.fail_refund(asked["refund"]),
            "dispute": lambda asked: payments.dispute(asked["payment_intent"], asked.get("amount")),
            "disputes:close": lambda asked: payments.close_dispute(asked["dispute"], asked["status"]),
            "cards": self._cards,
            "behaviour": self._behave,
            "reset": lambda _: book.clear(),
        }

    def answer(self, name: str, asked: dict[str, Any]) -> Any:
        if name not in self._calls:
            raise RefusedError(404, f"one of {', '.join(self._calls)} is meant")
        try:
            return self._calls[name](asked)
        except KeyError as error:
            raise RefusedError(400, f"{error} is missing") from error

    def summary(self) -> Object:
        """`{requests, paid, refunded, events, undelivered}`; amounts in cents."""
        charges = list(self._book.all("charge"))
        return {
            "requests": self.requests,
            "paid": sum(charge["amount"] for charge in charges),
            "refunded": sum(charge["amount_refunded"] for charge in charges),
            "events": len(self._book.events),
            "undelivered": len(self._book.undelivered()),
        }

    def is_away(self) -> bool:
        """Whether this call of the API fails."""
        if not self._failures:
            return False
        self._failures -= 1
        return True

    def _advance(self, asked: dict[str, Any]) -> Object:
        """`{days}`: renewals, payments that are tried again, sessions that expire. Day by day, as they would come."""
        for _ in range(int(asked["days"])):
            self._book.advance(DAY_SECONDS)
            self._subscriptions.renew()
            self._sessions.expire_old()
        return {"now": self._book.now}

    def _cards(self, asked: dict[str, Any]) -> Object:
        """`{customer, declines}`: whether the customer's card is declined from now on."""
        customer = self._book.get("customer", asked["customer"])
        customer["_"]["declines"] = bool(asked["declines"])
        return {}

    def _behave(self, asked: dict[str, Any]) -> Object:
        """`{failures}`: so many calls of the API fail from now on, with 500."""
        self._failures = int(asked["failures"])
        return {}
