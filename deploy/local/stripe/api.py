"""`/v1`: which call is which, and objects as Stripe shows them."""

import re
from collections.abc import Callable, Iterable
from itertools import islice, takewhile
from typing import Any

from deploy.local.stripe import forms
from deploy.local.stripe.book import Book, Object
from deploy.local.stripe.errors import RefusedError
from deploy.local.stripe.payments import Payments
from deploy.local.stripe.sessions import Sessions
from deploy.local.stripe.subscriptions import Subscriptions

LISTED = 10
Answer = Callable[..., Object]


class Api:
    def __init__(
        self, book: Book, payments: Payments, sessions: Sessions, subscriptions: Subscriptions, page: str
    ) -> None:
        self._book, self._page = book, page
        self._calls: list[tuple[str, re.Pattern[str], Answer]] = [
            (method, re.compile(path.replace("{id}", "([^/]+)")), answer)
            for method, path, answer in (
                ("POST", "customers", self._customer),
                ("GET", "customers/{id}", self._getter("customer")),
                ("GET", "customers/{id}/payment_methods", payments.cards),
                ("POST", "payment_intents", payments.charge),
                ("GET", "payment_intents/{id}", self._getter("payment_intent")),
                ("POST", "prices", self._price),
                ("POST", "checkout/sessions", sessions.create),
                ("GET", "checkout/sessions", self._lister("checkout.session", "payment_intent", "subscription")),
                ("GET", "checkout/sessions/{id}", self._session),
                ("POST", "checkout/sessions/{id}/expire", lambda id, _: sessions.expire(id)),
                ("POST", "billing_portal/sessions", self._portal),
                ("GET", "invoices/{id}", self._invoice),
                ("GET", "invoice_payments", self._invoice_payments),
                ("POST", "refunds", payments.refund),
                ("GET", "refunds", self._lister("refund", "payment_intent")),
                ("GET", "disputes", self._lister("dispute", "payment_intent")),
                ("GET", "subscriptions", self._subscriptions),
                ("GET", "subscriptions/{id}", self._getter("subscription")),
                ("POST", "subscriptions/{id}", subscriptions.update),
                ("POST", "subscription_schedules", subscriptions.schedule),
                ("POST", "subscription_schedules/{id}", subscriptions.plan_phases),
                ("POST", "subscription_schedules/{id}/release", lambda id, _: subscriptions.release(id)),
                ("GET", "events", self._events),
            )
        ]

    def answer(self, method: str, path: str, form: dict[str, Any]) -> Object:
        """Refuses what Stripe refuses."""
        for expected, pattern, answer in self._calls:
            if expected == method and (found := pattern.fullmatch(path)):
                shown: Object = _shown(answer(*found.groups(), form))
                return shown | {"url": f"/v1/{path}"} if shown["object"] == "list" else shown
        raise RefusedError(404, f"Unrecognized request URL ({method}: /v1/{path}).")

    def _getter(self, kind: str) -> Answer:
        return lambda id, _: self._book.get(kind, id)

    def _lister(self, kind: str, *filters: str) -> Answer:
        def listed(form: dict[str, Any]) -> Object:
            forms.check(form, (*filters, "limit", "starting_after", "expand"))
            wished = {name: form[name] for name in filters if name in form}
            return _page(self._book.all(kind, **wished), form)

        return listed

    def _session(self, id: str, form: dict[str, Any]) -> Object:
        session = self._book.get("checkout.session", id)
        if "payment_intent" in form.get("expand", []) and session["payment_intent"]:
            return {**session, "payment_intent": self._book.get("payment_intent", session["payment_intent"])}
        return session

    def _price(self, form: dict[str, Any]) -> Object:
        forms.check(form, ("currency", "unit_amount", "recurring", "product_data"))
        product = self._book.add("prod", "product", name=form["product_data"]["name"])
        recurring = {"interval": form["recurring"]["interval"], "interval_count": 1} if "recurring" in form else None
        told = {"currency": form["currency"], "unit_amount": int(form["unit_amount"]), "recurring": recurring}
        return self._book.add("price", "price", product=product["id"], **told)

    def _customer(self, form: dict[str, Any]) -> Object:
        forms.check(form, ("name", "email", "metadata"))
        return self._book.add("cus", "customer", **{"metadata": {}, **form, "_": {"declines": False}})

    def _portal(self, form: dict[str, Any]) -> Object:
        forms.check(form, ("customer", "return_url"))
        customer = self._book.get("customer", form.get("customer", ""))
        portal = self._book.add(
            "bps", "billing_portal.session", customer=customer["id"], return_url=form.get("return_url", "/")
        )
        return {**portal, "url": f"{self._page}{portal['id']}"}

    def _invoice(self, id: str, form: dict[str, Any]) -> Object:
        invoice = self._book.get("invoice", id)
        if "payments" in form.get("expand", []):
            return {**invoice, "payments": _page(self._book.all("invoice_payment", invoice=id), {})}
        return invoice

    def _invoice_payments(self, form: dict[str, Any]) -> Object:
        forms.check(form, ("payment", "invoice", "limit"))
        return _page(self._book.all("invoice_payment", payment=form["payment"]), form)

    def _subscriptions(self, form: dict[str, Any]) -> Object:
        forms.check(form, ("customer", "status", "limit", "expand"))
        found = self._book.all("subscription", customer=form["customer"])
        if form.get("status") != "all":
            found = (each for each in found if each["status"] != "canceled")
        if "data.schedule" in form.get("expand", []):
            found = ({**each, "schedule": self._schedule(each["schedule"])} for each in found)
        return _page(found, form)

    def _schedule(self, id: str | None) -> Object | None:
        return self._book.get("subscription_schedule", id) if id else None

    def _events(self, form: dict[str, Any]) -> Object:
        forms.check(form, ("created", "limit", "starting_after", "ending_before"))
        bounds = form.get("created", {})
        start, end = int(bounds.get("gte", 0)), int(bounds.get("lt", 1 << 40))
        return _page((event for event in reversed(self._book.events) if start <= event["created"] < end), form)


def _page(found: Iterable[Object], form: dict[str, Any]) -> Object:
    """Newest first, older than the one that is named; or those that are newer by as little as there is room for."""
    limit, rest = int(form.get("limit", LISTED)), iter(found)
    if not 1 <= limit <= 100:
        raise RefusedError(400, "Invalid integer: limit is 1 to 100")
    if after := form.get("starting_after"):
        for each in rest:
            if each["id"] == after:
                break
    if before := form.get("ending_before"):
        newer = list(takewhile(lambda each: each["id"] != before, rest))
        return {"object": "list", "data": newer[-limit:], "has_more": len(newer) > limit}
    data = list(islice(rest, limit + 1))
    return {"object": "list", "data": data[:limit], "has_more": len(data) > limit}


def _shown(found: Any) -> Any:
    """Without what Stripe keeps to itself."""
    if isinstance(found, dict):
        return {name: _shown(value) for name, value in found.items() if name != "_"}
    return [_shown(each) for each in found] if isinstance(found, list) else found
