"""Subscriptions, their invoices, and the clock that renews them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from deploy.local.stripe import forms
from deploy.local.stripe.book import Book, Object
from deploy.local.stripe.errors import RefusedError, declined
from deploy.local.stripe.payments import Payments

# Payments of an invoice before the subscription is given up.
ATTEMPTS_MAX = 4
DAYS = {"month": 30, "year": 365}
KNOWN = ("items", "metadata", "cancel_at_period_end", "proration_behavior", "payment_behavior", "expand")


class Subscriptions:
    def __init__(self, book: Book, payments: Payments) -> None:
        self._book, self._payments = book, payments

    def begin(self, customer: str, price: Object, metadata: dict[str, str]) -> Object:
        """Active, with its first cycle paid."""
        item = {"id": self._book.add("si", "subscription_item")["id"], "object": "subscription_item", "quantity": 1}
        subscription = self._book.add(
            "sub",
            "subscription",
            customer=customer,
            status="active",
            metadata=metadata,
            cancel_at_period_end=False,
            schedule=None,
            latest_invoice=None,
            items={"object": "list", "data": [item]},
        )
        if "product" not in price:
            price = {**price, "product": self._book.add("prod", "product", name=price["product_name"])["id"]}
        self._set_price(subscription, price, self._book.now)
        self._invoice(subscription, "subscription_create", price["unit_amount"])
        self._book.say("customer.subscription.created", subscription)
        return subscription

    def update(self, id: str, form: dict[str, Any]) -> Object:
        """As `POST /v1/subscriptions/{id}`; another price is invoiced at once, less what is left of the old one."""
        forms.check(form, KNOWN)
        subscription = self._living(id)
        if items := form.get("items"):
            self._change_price(subscription, items[0], form)
        subscription["metadata"] |= form.get("metadata", {})
        if "cancel_at_period_end" in form:
            subscription["cancel_at_period_end"] = form["cancel_at_period_end"].lower() == "true"
        if form.get("items"):
            self._invoice(subscription, "subscription_update", subscription.pop("_due"))
        self._book.say("customer.subscription.updated", subscription)
        return subscription

    def renew(self) -> None:
        """Whatever the clock has passed since; each cycle that ended by itself."""
        for subscription in list(self._book.all("subscription")):
            if subscription["status"] == "past_due":
                self._retry(subscription)
            while subscription["status"] == "active" and _item(subscription)["current_period_end"] <= self._book.now:
                self._next_cycle(subscription)

    def schedule(self, form: dict[str, Any]) -> Object:
        """As `POST /v1/subscription_schedules`: one for a subscription as it stands."""
        forms.check(form, ("from_subscription",))
        subscription = self._living(form.get("from_subscription", ""))
        if subscription["schedule"]:
            raise RefusedError(400, "You cannot migrate a subscription that is already attached to a schedule.")
        item = _item(subscription)
        phase = {
            "start_date": item["current_period_start"],
            "end_date": item["current_period_end"],
            "items": [{"price": item["price"]["id"], "quantity": 1}],
            "metadata": {},
        }
        schedule = self._book.add(
            "sub_sched",
            "subscription_schedule",
            status="active",
            subscription=subscription["id"],
            customer=subscription["customer"],
            phases=[phase],
        )
        subscription["schedule"] = schedule["id"]
        self._book.say("subscription_schedule.created", schedule)
        self._book.say("customer.subscription.updated", subscription)
        return schedule

    def plan_phases(self, id: str, form: dict[str, Any]) -> Object:
        """As `POST /v1/subscription_schedules/{id}`: what follows the cycle in hand."""
        forms.check(form, ("phases", "end_behavior", "proration_behavior"))
        schedule = self._active_schedule(id)
        phases = form["phases"]
        if len(phases) != 2 or int(phases[0]["start_date"]) != schedule["phases"][0]["start_date"]:
            raise RefusedError(400, "You can not modify a phase that has already started: repeat it as it is.")
        schedule["phases"] = [
            {**phase, "start_date": int(phase["start_date"]), "end_date": int(phase.get("end_date", 0)) or None}
            if "start_date" in phase
            else {**phase, "start_date": int(phases[0]["end_date"]), "end_date": None}
            for phase in phases
        ]
        self._book.say("subscription_schedule.updated", schedule)
        return schedule

    def release(self, id: str) -> Object:
        """The subscription goes on as it is."""
        schedule = self._active_schedule(id)
        schedule["status"] = "released"
        subscription = self._book.get("subscription", schedule["subscription"])
        subscription["schedule"] = None
        self._book.say("subscription_schedule.released", schedule)
        self._book.say("customer.subscription.updated", subscription)
        return schedule

    def _living(self, id: str) -> Object:
        subscription = self._book.get("subscription", id)
        if subscription["status"] == "canceled":
            raise RefusedError(400, "A canceled subscription can only update its cancellation_details and metadata.")
        return subscription

    def _active_schedule(self, id: str) -> Object:
        schedule = self._book.get("subscription_schedule", id)
        if schedule["status"] != "active":
            raise RefusedError(400, f"This schedule is {schedule['status']}.")
        return schedule

    def _change_price(self, subscription: Object, change: dict[str, Any], form: dict[str, Any]) -> None:
        item, price, now = _item(subscription), self._price(change), self._book.now
        if change.get("id") != item["id"]:
            raise RefusedError(400, "items[0]: the id of the item is needed")
        if self._declines(subscription) and form.get("payment_behavior") == "error_if_incomplete":
            raise declined()
        used = (now - item["current_period_start"]) / (item["current_period_end"] - item["current_period_start"])
        unused = round(item["price"]["unit_amount"] * (1 - used))
        subscription["_due"] = price["unit_amount"] - unused
        self._set_price(subscription, price, now)

    def _next_cycle(self, subscription: Object) -> None:
        item = _item(subscription)
        end = item["current_period_end"]
        if subscription["cancel_at_period_end"]:
            self._end(subscription)
            return
        if subscription["schedule"]:
            phase = self._book.get("subscription_schedule", subscription["schedule"])["phases"][-1]
            subscription["metadata"] |= phase.get("metadata", {})
            self._set_price(subscription, self._price(phase["items"][0]), end)
            self.release(subscription["schedule"])
        else:
            self._set_price(subscription, item["price"], end)
        self._invoice(subscription, "subscription_cycle", item["price"]["unit_amount"])
        self._book.say("customer.subscription.updated", subscription)

    def _price(self, item: dict[str, Any]) -> Object:
        """One that stands, or told with the call."""
        if "price" in item:
            return self._book.get("price", item["price"])
        data = item.get("price_data", {})
        if "product" not in data or "recurring" not in data:
            raise RefusedError(400, "price_data with product and recurring is needed")
        self._book.get("product", data["product"])
        return {
            "unit_amount": int(data["unit_amount"]),
            "currency": data["currency"],
            "recurring": {"interval": data["recurring"]["interval"], "interval_count": 1},
            "product": data["product"],
        }

    def _set_price(self, subscription: Object, price: Object, start: int) -> None:
        if "id" not in price:
            price = {**price, "id": self._book.add("price", "price", **price)["id"]}
        end = datetime.fromtimestamp(start, UTC) + timedelta(days=DAYS[price["recurring"]["interval"]])
        _item(subscription).update(price=price, current_period_start=start, current_period_end=int(end.timestamp()))

    def _invoice(self, subscription: Object, reason: str, total: int) -> None:
        """Drawn, and paid where the card is good. What is negative is a balance for later, which is not played here."""
        total = max(total, 0)
        details = {"subscription": subscription["id"], "metadata": dict(subscription["metadata"])}
        invoice = self._book.add(
            "in",
            "invoice",
            customer=subscription["customer"],
            billing_reason=reason,
            currency=_item(subscription)["price"]["currency"],
            total=total,
            amount_due=total,
            amount_paid=0,
            attempt_count=0,
            status="open",
            parent={"type": "subscription_details", "subscription_details": details},
            status_transitions={"paid_at": None},
        )
        subscription["latest_invoice"] = invoice["id"]
        self._book.say("invoice.created", invoice)
        self._collect(subscription, invoice)

    def _retry(self, subscription: Object) -> None:
        invoice = self._book.get("invoice", subscription["latest_invoice"])
        self._collect(subscription, invoice)
        if subscription["status"] == "past_due" and invoice["attempt_count"] >= ATTEMPTS_MAX:
            self._end(subscription)
        else:
            self._book.say("customer.subscription.updated", subscription)

    def _collect(self, subscription: Object, invoice: Object) -> None:
        invoice["attempt_count"] += 1
        if self._declines(subscription):
            subscription["status"] = "past_due"
            self._book.say("invoice.payment_failed", invoice)
            return
        subscription["status"] = "active"
        if invoice["total"]:
            payment = self._payments.begin(invoice["customer"], invoice["total"], invoice["currency"], {})
            self._payments.succeed(payment)
            paid_by = {"type": "payment_intent", "payment_intent": payment["id"]}
            self._book.add("inpay", "invoice_payment", invoice=invoice["id"], payment=paid_by, status="paid")
        invoice.update(status="paid", amount_paid=invoice["total"])
        invoice["status_transitions"]["paid_at"] = self._book.now
        self._book.say("invoice.paid", invoice)

    def _end(self, subscription: Object) -> None:
        if subscription["schedule"]:
            self.release(subscription["schedule"])
        subscription.update(status="canceled", canceled_at=self._book.now)
        self._book.say("customer.subscription.deleted", subscription)

    def _declines(self, subscription: Object) -> bool:
        return bool(self._book.get("customer", subscription["customer"])["_"]["declines"])


def _item(subscription: Object) -> Object:
    item: Object = subscription["items"]["data"][0]
    return item
