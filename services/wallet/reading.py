"""What Stripe's objects mean to us. Nothing here believes an event: it only says what to ask for, and reads the answer.

Amounts are in cents; Stripe writes currencies in lower case. Objects are those of API 2026-10-28.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from google.protobuf.timestamp_pb2 import Timestamp

from astronote.wallet.v1.billing_pb2 import Purchase
from astronote.wallet.v1.wallet_pb2 import Subscription
from kit import rows

Object = Mapping[str, Any]
#: A checkout session, an invoice, a payment intent, a customer.
Subject = Literal["session", "invoice", "payment", "customer"]

# By the beginning of an event's type: what is looked at, and which field of the event's object names it.
SUBJECTS: tuple[tuple[str, Subject, str], ...] = (
    ("checkout.session.", "session", "id"),
    ("invoice.", "invoice", "id"),
    ("customer.subscription.", "customer", "customer"),
    ("subscription_schedule.", "customer", "customer"),
    ("refund.", "payment", "payment_intent"),
    ("charge.refund", "payment", "payment_intent"),
    ("charge.dispute.", "payment", "payment_intent"),
)
NOT_REFUNDED = ("failed", "canceled")
# Won, or only asked about: the bank has taken nothing. What we do not know counts as taken.
NOT_DISPUTED = ("won", "warning_needs_response", "warning_under_review", "warning_closed", "prevented")
STATES = {
    "active": Subscription.ACTIVE,
    "trialing": Subscription.ACTIVE,
    "past_due": Subscription.PAST_DUE,
    "unpaid": Subscription.CANCELED,
    "paused": Subscription.CANCELED,
    "canceled": Subscription.CANCELED,
}
# Of several, the plan that the merchant has.
BEST_FIRST = (Subscription.ACTIVE, Subscription.PAST_DUE, Subscription.CANCELED)
# The ids of purchases that begin at Stripe are made of the ids there.
INVOICES = uuid.UUID("5d1b4b8e-0a51-4bd1-9f3c-6a3b8a3f7f10")


@dataclass(frozen=True, slots=True)
class Cause:
    """Something at Stripe that may have changed."""

    subject: Subject
    id: str


@dataclass(frozen=True, slots=True)
class Sold:
    """What a payment was for, as Stripe was told, and the tax in its total. It may be all that we know: of a cycle that
    Stripe's clock began, and of a purchase from before the database went back in time.
    """

    kind: "Purchase.Kind.ValueType"
    item: str
    credits: int
    vat_cents: int


@dataclass(frozen=True, slots=True)
class Payment:
    """A purchase as Stripe shows it. `sold` is none where Stripe was not told what it is."""

    merchant_id: str
    purchase_id: str
    state: "Purchase.State.ValueType"
    currency: str
    total_cents: int
    refunded_cents: int = 0
    disputed_cents: int = 0
    pay_time: datetime | None = None
    sold: Sold | None = None


@dataclass(frozen=True, slots=True)
class Subscribed:
    """A merchant's plan as Stripe shows it."""

    merchant_id: str
    stripe_id: str
    subscription: Subscription


def cause(event: Object) -> Cause | None:
    """What an event is about; None where that is nothing of ours."""
    about = event["data"]["object"]
    for beginning, subject, field in SUBJECTS:
        if str(event["type"]).startswith(beginning):
            id = about.get(field)
            return Cause(subject, id) if isinstance(id, str) and id else None
    return None


def of_session(session: Object, refunds: Sequence[Object], disputes: Sequence[Object]) -> Payment | None:
    """A single payment, with its payment intent expanded; None where it is somebody else's."""
    merchant_id, purchase_id = _ours(session["metadata"])
    if not purchase_id:
        return None
    intent = session["payment_intent"] or {}
    return Payment(
        merchant_id,
        purchase_id,
        state=_session_state(session, intent),
        currency=str(session["currency"]).upper(),
        total_cents=session["amount_total"],
        refunded_cents=_refunded(refunds),
        disputed_cents=_disputed(disputes),
        pay_time=_time(intent.get("created")),
        # What a plan brings, its invoices say.
        sold=_once(session["metadata"], session["amount_total"]) if session["mode"] == "payment" else None,
    )


def of_payment(intent: Object, refunds: Sequence[Object], disputes: Sequence[Object]) -> Payment | None:
    """A payment without a page, from a card that we knew; None where it is somebody else's."""
    merchant_id, purchase_id = _ours(intent["metadata"])
    if not purchase_id:
        return None
    return Payment(
        merchant_id,
        purchase_id,
        state={"succeeded": Purchase.PAID, "processing": Purchase.OPEN}.get(intent["status"], Purchase.FAILED),
        currency=str(intent["currency"]).upper(),
        total_cents=intent["amount"],
        refunded_cents=_refunded(refunds),
        disputed_cents=_disputed(disputes),
        pay_time=_time(intent["created"]),
        sold=_once(intent["metadata"], intent["amount"]),
    )


def of_invoice(invoice: Object, refunds: Sequence[Object], disputes: Sequence[Object]) -> Payment | None:
    """A cycle of a plan; None where it is somebody else's, or brings nothing.

    Its metadata are the subscription's as they were when it was drawn. An upgrade brings what its cycle has more than
    the one that it ends.
    """
    details = (invoice.get("parent") or {}).get("subscription_details") or {}
    metadata, reason = details.get("metadata") or {}, invoice["billing_reason"]
    credits = _count(metadata.get("credits"))
    if reason == "subscription_update":
        credits = max(0, credits - _count(metadata.get("previous_credits")))
    elif reason not in ("subscription_create", "subscription_cycle"):
        return None
    if reason != "subscription_create":
        metadata = {**metadata, "purchase_id": str(uuid.uuid5(INVOICES, invoice["id"]))}
    merchant_id, purchase_id = _ours(metadata)
    if not purchase_id:
        return None
    return Payment(
        merchant_id,
        purchase_id,
        state={"paid": Purchase.PAID, "draft": Purchase.OPEN, "open": Purchase.OPEN}.get(
            invoice["status"], Purchase.FAILED
        ),
        currency=str(invoice["currency"]).upper(),
        total_cents=invoice["total"],
        refunded_cents=_refunded(refunds),
        disputed_cents=_disputed(disputes),
        pay_time=_time(invoice["status_transitions"]["paid_at"]),
        sold=_sold(Purchase.CYCLE, metadata, credits, invoice["total"]),
    )


def of_subscriptions(subscriptions: Sequence[Object]) -> Subscribed | None:
    """The plan that a customer has, of all that there ever were, with their schedules expanded."""
    found = [each for each in subscriptions if each["status"] in STATES and _ours(each["metadata"])[0]]
    if not found:
        return None
    best = min(found, key=lambda each: (BEST_FIRST.index(STATES[each["status"]]), -each["created"]))
    item = best["items"]["data"][0]
    shown = Subscription(
        plan=best["metadata"].get("plan", ""),
        state=STATES[best["status"]],
        period_start_time=Timestamp(seconds=item["current_period_start"]),
        period_end_time=Timestamp(seconds=item["current_period_end"]),
        next_plan=_next_plan(best),
        ends_with_period=bool(best["cancel_at_period_end"]),
    )
    return Subscribed(best["metadata"]["merchant_id"], best["id"], shown)


def payments_of(invoice: Object) -> list[str]:
    """The payment intents that paid an invoice, whose payments are expanded."""
    paid = [each["payment"].get("payment_intent") for each in invoice["payments"]["data"]]
    return [id for id in paid if id]


def _session_state(session: Object, intent: Object) -> "Purchase.State.ValueType":
    if session["payment_status"] != "unpaid":
        return Purchase.PAID
    if session["status"] == "complete":
        # It takes days, or came to nothing.
        return Purchase.OPEN if intent.get("status") == "processing" else Purchase.FAILED
    return Purchase.EXPIRED if session["status"] == "expired" else Purchase.OPEN


def _next_plan(subscription: Object) -> str:
    schedule = subscription["schedule"]
    if not schedule or schedule["status"] != "active":
        return ""
    end = subscription["items"]["data"][0]["current_period_end"]
    later = [phase for phase in schedule["phases"] if phase["start_date"] >= end]
    return str(later[0]["metadata"].get("plan", "")) if later else ""


def _once(metadata: Object, total_cents: int) -> Sold | None:
    """None where it was begun under a release that did not say."""
    if "credits" not in metadata:
        return None
    kind = Purchase.PACKAGE if metadata.get("plan") else Purchase.TOP_UP
    return _sold(kind, metadata, _count(metadata["credits"]), total_cents)


def _sold(kind: "Purchase.Kind.ValueType", metadata: Object, credits: int, total_cents: int) -> Sold:
    return Sold(kind, str(metadata.get("plan", "")), credits, _vat(metadata.get("vat_of_total"), total_cents))


def _ours(metadata: Object) -> tuple[str, str]:
    """Merchant and purchase, as we noted them; empty where that was not us."""
    ids = str(metadata.get("merchant_id", "")), str(metadata.get("purchase_id", ""))
    return ids if all(rows.is_uuid(id) for id in ids) else ("", "")


def _refunded(refunds: Sequence[Object]) -> int:
    return sum(refund["amount"] for refund in refunds if refund["status"] not in NOT_REFUNDED)


def _disputed(disputes: Sequence[Object]) -> int:
    return sum(dispute["amount"] for dispute in disputes if dispute["status"] not in NOT_DISPUTED)


def _count(text: object) -> int:
    return int(text) if isinstance(text, str) and text.isascii() and text.isdecimal() else 0


def _vat(of_total: object, total_cents: int) -> int:
    """The same part of this total as of the plan's."""
    vat, _, total = str(of_total).partition("/")
    return round(total_cents * _count(vat) / _count(total)) if _count(total) else 0


def _time(seconds: int | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
