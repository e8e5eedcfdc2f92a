"""What Stripe is told to ask a merchant for."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from astronote.wallet.v1.billing_pb2 import Purchase
from astronote.wallet.v1.catalogue_pb2 import Package, Plan
from services.wallet.catalogue import Charge
from services.wallet.errors import UrlInvalid

URL_LENGTH_MAX = 2000
LOCAL = ("localhost", "127.0.0.1", "::1")
INTERVALS = {Plan.MONTH: "month", Plan.YEAR: "year"}
# Of every plan: a change of plan keeps the product and changes its price.
PLAN_NAME = "Astronote Retail"


@dataclass(frozen=True, slots=True)
class Offer:
    """Something at its price. What stands at Stripe under a price of its own is named; of all else Stripe is told."""

    kind: "Purchase.Kind.ValueType"
    item: str
    name: str
    charge: Charge
    stripe_price_id: str = ""
    interval: "Plan.Interval.ValueType" = Plan.INTERVAL_UNSPECIFIED

    def purchase(self, id: str) -> Purchase:
        return Purchase(
            id=id,
            kind=self.kind,
            item=self.item,
            credits=self.charge.credits,
            currency=self.charge.currency,
            total_cents=self.charge.total_cents,
            vat_cents=self.charge.vat_cents,
            state=Purchase.OPEN,
        )

    def price(self, **product: Any) -> dict[str, Any]:
        """How Stripe is told what it costs, VAT included."""
        if self.stripe_price_id:
            return {"price": self.stripe_price_id}
        data: dict[str, Any] = {"currency": self.charge.currency.lower(), "unit_amount": self.charge.total_cents}
        if self.interval:
            data["recurring"] = {"interval": INTERVALS[self.interval]}
        return {"price_data": data | product}


def of_package(package: Package, charge: Charge) -> Offer:
    return Offer(Purchase.PACKAGE, package.id, package.name, charge, package.stripe_price_id)


def of_credits(charge: Charge) -> Offer:
    return Offer(Purchase.TOP_UP, "", f"{charge.credits:,} credits", charge)


def of_plan(plan: Plan, charge: Charge) -> Offer:
    return Offer(Purchase.CYCLE, plan.id, PLAN_NAME, charge, plan.stripe_price_id, plan.interval)


def session(
    offer: Offer, merchant_id: str, purchase_id: str, customer: str, success_url: str, cancel_url: str
) -> dict[str, Any]:
    """The parameters of a checkout session. The purchase's id and terms stand wherever an event may begin: in the
    session, in its payment and, for a plan, in what its invoices are drawn from.
    """
    ours = {"merchant_id": merchant_id, "purchase_id": purchase_id} | terms(offer.item, offer.charge)
    line = {"quantity": 1, **offer.price(product_data={"name": offer.name})}
    told = {
        "customer": customer,
        "client_reference_id": purchase_id,
        "metadata": ours,
        "line_items": [line],
        "success_url": success_url,
        "cancel_url": cancel_url,
    }
    if offer.kind == Purchase.CYCLE:
        return told | {"mode": "subscription", "subscription_data": {"metadata": ours}}
    return told | {"mode": "payment", "payment_intent_data": {"metadata": ours}}


def terms(item: str, price: Charge | Purchase) -> dict[str, str]:
    """What a payment or a subscription says about itself, and each invoice repeats: what was agreed, whatever the
    catalogue and our own rows say by then. `plan` is a package's id as well.
    """
    return {
        "plan": item,
        "credits": str(price.credits),
        "vat_of_total": f"{price.vat_cents}/{price.total_cents}",
    }


def check_url(field: str, url: str) -> None:
    """Refuses `UrlInvalid`."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError as error:
        raise UrlInvalid(field=field) from error
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and host in LOCAL)
    if not (is_safe and host and url.isprintable() and len(url) <= URL_LENGTH_MAX):
        raise UrlInvalid(field=field, length_max=URL_LENGTH_MAX)
