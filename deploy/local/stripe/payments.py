"""Money: payments, refunds, disputes."""

from typing import Any

from deploy.local.stripe import forms
from deploy.local.stripe.book import Book, Object
from deploy.local.stripe.errors import RefusedError, declined

CHARGED = ("amount", "currency", "customer", "payment_method", "off_session", "confirm", "metadata")
AMOUNT_MIN = 50
# Of a dispute: what it is closed with.
CLOSED = ("won", "lost", "warning_closed")


class Payments:
    def __init__(self, book: Book) -> None:
        self._book = book

    def begin(self, customer: str | None, amount: int, currency: str, metadata: dict[str, str]) -> Object:
        """A payment that is on its way."""
        told = {"customer": customer, "amount": amount, "currency": currency, "metadata": metadata}
        return self._book.add("pi", "payment_intent", status="processing", **told)

    def succeed(self, payment: Object) -> Object:
        """The money is there."""
        payment["status"] = "succeeded"
        charge = self._book.add(
            "ch",
            "charge",
            **{name: payment[name] for name in ("customer", "amount", "currency", "metadata")},
            amount_refunded=0,
            refunded=False,
            disputed=False,
            payment_intent=payment["id"],
        )
        payment["latest_charge"] = charge["id"]
        self._book.say("payment_intent.succeeded", payment)
        self._book.say("charge.succeeded", charge)
        return payment

    def charge(self, form: dict[str, Any]) -> Object:
        """A card that the customer has left here, without the customer; as `POST /v1/payment_intents`."""
        forms.check(form, CHARGED)
        customer, amount = self._book.get("customer", form.get("customer", "")), int(form["amount"])
        if amount < AMOUNT_MIN:
            raise RefusedError(400, "Amount must be at least 50 cents.", code="amount_too_small")
        payment = self.begin(customer["id"], amount, form["currency"], form.get("metadata", {}))
        if customer["_"]["declines"]:
            payment["status"] = "requires_payment_method"
            self._book.say("payment_intent.payment_failed", payment)
            raise declined()
        return self.succeed(payment)

    def cards(self, customer: str, form: dict[str, Any]) -> Object:
        """Whoever has paid here has left a card; as `GET /v1/customers/{id}/payment_methods`."""
        forms.check(form, ("type", "limit"))
        has_paid = any(self._book.all("charge", customer=customer))
        card = {"id": f"pm_{customer}", "object": "payment_method", "type": "card", "customer": customer}
        return {"object": "list", "data": [card] if has_paid else [], "has_more": False}

    def refund(self, form: dict[str, Any]) -> Object:
        """All of it, or an amount; as `POST /v1/refunds`."""
        forms.check(form, ("payment_intent", "amount", "reason", "metadata"))
        charge = self._charge(form.get("payment_intent", ""))
        left = charge["amount"] - charge["amount_refunded"]
        amount = int(form.get("amount", left))
        if not 0 < amount <= left:
            raise RefusedError(400, f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})")
        charge["amount_refunded"] += amount
        charge["refunded"] = charge["amount_refunded"] == charge["amount"]
        refund = self._book.add(
            "re",
            "refund",
            amount=amount,
            currency=charge["currency"],
            charge=charge["id"],
            payment_intent=charge["payment_intent"],
            status="succeeded",
            metadata={},
        )
        self._book.say("refund.created", refund)
        self._book.say("charge.refunded", charge)
        return refund

    def fail_refund(self, id: str) -> Object:
        """The bank did not take it: the money is ours again."""
        refund = self._book.get("refund", id)
        charge = self._book.get("charge", refund["charge"])
        charge["amount_refunded"] -= refund["amount"]
        charge["refunded"], refund["status"] = False, "failed"
        self._book.say("refund.failed", refund)
        return refund

    def dispute(self, payment_intent: str, amount: int | None) -> Object:
        """The customer's bank asks for the money back."""
        charge = self._charge(payment_intent)
        charge["disputed"] = True
        dispute = self._book.add(
            "du",
            "dispute",
            amount=charge["amount"] if amount is None else amount,
            currency=charge["currency"],
            charge=charge["id"],
            payment_intent=payment_intent,
            status="needs_response",
            reason="fraudulent",
        )
        self._book.say("charge.dispute.created", dispute)
        self._book.say("charge.dispute.funds_withdrawn", dispute)
        return dispute

    def close_dispute(self, id: str, status: str) -> Object:
        """`won`, `lost` or `warning_closed`."""
        dispute = self._book.get("dispute", id)
        if status not in CLOSED:
            raise RefusedError(400, f"a dispute is closed as one of {', '.join(CLOSED)}")
        dispute["status"] = status
        if status == "won":
            self._book.say("charge.dispute.funds_reinstated", dispute)
        self._book.say("charge.dispute.closed", dispute)
        return dispute

    def _charge(self, payment_intent: str) -> Object:
        payment = self._book.get("payment_intent", payment_intent)
        return self._book.get("charge", payment["latest_charge"])
