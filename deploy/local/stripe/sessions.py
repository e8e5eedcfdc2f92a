"""Checkout sessions, and what pressing their buttons does."""

from typing import Any

from deploy.local.stripe import forms
from deploy.local.stripe.book import Book, Object
from deploy.local.stripe.errors import RefusedError
from deploy.local.stripe.payments import AMOUNT_MIN, Payments
from deploy.local.stripe.subscriptions import Subscriptions

EXPIRES_SECONDS = 24 * 3600
KNOWN = (
    "mode", "line_items", "customer", "client_reference_id", "metadata", "success_url", "cancel_url", "locale",
    "payment_intent_data", "subscription_data", "expires_at", "expand",
)  # fmt: skip


class Sessions:
    def __init__(self, book: Book, payments: Payments, subscriptions: Subscriptions, page: str) -> None:
        """`page` is what the address of a session's page begins with."""
        self._book, self._payments, self._subscriptions, self._page = book, payments, subscriptions, page

    def create(self, form: dict[str, Any]) -> Object:
        forms.check(form, KNOWN)
        mode, items = form.get("mode"), form.get("line_items")
        if mode not in ("payment", "subscription") or not items or not form.get("success_url"):
            raise RefusedError(400, "Missing required param: mode, line_items, success_url.", code="parameter_missing")
        customer = self._book.get("customer", form["customer"])["id"] if "customer" in form else None
        prices = [self._price(item, mode) for item in items]
        session = self._book.add(
            "cs_test",
            "checkout.session",
            mode=mode,
            status="open",
            payment_status="unpaid",
            amount_total=sum(price["unit_amount"] for price in prices),
            currency=prices[0]["currency"],
            customer=customer,
            client_reference_id=form.get("client_reference_id"),
            metadata=form.get("metadata", {}),
            success_url=form["success_url"],
            cancel_url=form.get("cancel_url"),
            payment_intent=None,
            subscription=None,
            invoice=None,
            expires_at=self._book.now + EXPIRES_SECONDS,
        )
        session["url"] = f"{self._page}{session['id']}"
        # What Stripe keeps to itself.
        session["_"] = {
            "price": prices[0],
            "metadata": (form.get("payment_intent_data") or form.get("subscription_data") or {}).get("metadata", {}),
        }
        return session

    def pay(self, id: str) -> Object:
        """The card was good."""
        session = self._open(id)
        session.update(status="complete", payment_status="paid", url=None)
        if session["mode"] == "payment":
            self._payments.succeed(self._begin(session))
        else:
            kept = session["_"]
            subscription = self._subscriptions.begin(session["customer"], kept["price"], kept["metadata"])
            session.update(subscription=subscription["id"], invoice=subscription["latest_invoice"])
        self._book.say("checkout.session.completed", session)
        return session

    def pay_later(self, id: str) -> Object:
        """A payment that takes days, such as a bank's debit; only for what is paid once."""
        session = self._open(id)
        if session["mode"] != "payment":
            raise RefusedError(400, "only a single payment takes days here")
        session.update(status="complete", url=None)
        self._begin(session)
        self._book.say("checkout.session.completed", session)
        return session

    def settle(self, id: str, *, succeeded: bool) -> Object:
        """What became of a payment that took days."""
        session = self._book.get("checkout.session", id)
        payment = self._book.get("payment_intent", session["payment_intent"])
        if succeeded:
            session["payment_status"] = "paid"
            self._payments.succeed(payment)
        else:
            payment["status"] = "requires_payment_method"
        self._book.say(f"checkout.session.async_payment_{'succeeded' if succeeded else 'failed'}", session)
        return session

    def fail(self, id: str) -> Object:
        """The card was declined; another may be tried on the same page."""
        session = self._open(id)
        failed = self._begin(session)
        session["payment_intent"], failed["status"] = None, "requires_payment_method"
        self._book.say("payment_intent.payment_failed", failed)
        return session

    def expire(self, id: str) -> Object:
        session = self._open(id)
        session["status"], session["url"] = "expired", None
        self._book.say("checkout.session.expired", session)
        return session

    def expire_old(self) -> None:
        for session in list(self._book.all("checkout.session", status="open")):
            if session["expires_at"] <= self._book.now:
                self.expire(session["id"])

    def _open(self, id: str) -> Object:
        session = self._book.get("checkout.session", id)
        if session["status"] != "open":
            raise RefusedError(400, f"This Session is {session['status']} and can't be changed.")
        return session

    def _begin(self, session: Object) -> Object:
        """The payment of a session."""
        amount, metadata = session["amount_total"], session["_"]["metadata"]
        payment = self._payments.begin(session["customer"], amount, session["currency"], metadata)
        session["payment_intent"] = payment["id"]
        return payment

    def _price(self, item: dict[str, Any], mode: str) -> Object:
        """Of a line: one that stands, or told with it. Refuses what Stripe refuses."""
        price = self._book.get("price", item["price"]) if "price" in item else _told(item)
        if (mode == "subscription") != bool(price["recurring"]):
            raise RefusedError(400, "You specified `subscription` mode with a one-time price, or the other way round.")
        if price["unit_amount"] < AMOUNT_MIN:
            raise RefusedError(400, "The total amount must be at least 50 cents.", code="amount_too_small")
        return price


def _told(item: dict[str, Any]) -> Object:
    data = item.get("price_data", {})
    if "unit_amount" not in data or "product_data" not in data or not data.get("currency", "").islower():
        raise RefusedError(400, "line_items[0][price_data]: currency, unit_amount and product_data are needed here")
    recurring = data.get("recurring")
    return {
        "unit_amount": int(data["unit_amount"]),
        "currency": data["currency"],
        "recurring": {"interval": recurring["interval"], "interval_count": 1} if recurring else None,
        "product_name": data["product_data"]["name"],
    }
