"""What things cost, and what the catalogue may say.

Amounts are in cents, rounded half up. A package and a plan cost what they say, VAT included; single credits are priced
without VAT, in millionths, since one costs less than a cent more or less.
"""

import re
from dataclasses import dataclass

from astronote.wallet.v1.catalogue_pb2 import Package, Plan, TopUpPrice, VatRate
from services.wallet.errors import CatalogueInvalid, CreditsInvalid

CREDITS_MAX = 10_000_000
# A hundred million of a currency, in cents, is more than Stripe takes; and any sum of it fits a message's int32.
PRICE_CENTS_MAX = 100_000_000
CREDIT_MICROS_MAX = 100_000_000
NAME_LENGTH_MAX = 100
STRIPE_ID_LENGTH_MAX = 255
# `ZZ` is no country's (ISO 3166-1): the rate of all that have none of their own.
ELSEWHERE = "ZZ"
IDENTIFIER, CURRENCY, COUNTRY = re.compile(r"[a-z0-9-]{1,50}"), re.compile(r"[A-Z]{3}"), re.compile(r"[A-Z]{2}")
MICROS_A_CENT = 10_000
BASIS = 10_000


@dataclass(frozen=True, slots=True)
class Charge:
    """What is paid for so many credits."""

    credits: int
    currency: str
    net_cents: int
    vat_cents: int

    @property
    def total_cents(self) -> int:
        return self.net_cents + self.vat_cents


def of_package(package: Package, vat: VatRate) -> Charge:
    return _included(package.credits, package.currency, package.price_cents, vat)


def of_plan(plan: Plan, vat: VatRate) -> Charge:
    """One cycle."""
    return _included(plan.credits, plan.currency, plan.price_cents, vat)


def of_top_up(price: TopUpPrice, credits: int, vat: VatRate) -> Charge:
    """Refuses `CreditsInvalid`."""
    if not price.credits_min <= credits <= price.credits_max:
        raise CreditsInvalid(field="credits", credits_min=price.credits_min, credits_max=price.credits_max)
    net = _half_up(credits * price.credit_micros, MICROS_A_CENT)
    return Charge(credits, price.currency, net, _half_up(net * vat.basis_points, BASIS))


def _included(credits: int, currency: str, total: int, vat: VatRate) -> Charge:
    net = _half_up(total * BASIS, BASIS + vat.basis_points)
    return Charge(credits, currency, net, total - net)


def _half_up(dividend: int, divisor: int) -> int:
    return (2 * dividend + divisor) // (2 * divisor)


def check_package(package: Package) -> None:
    """Refuses `CatalogueInvalid`."""
    _check_offer("package", package)
    _check("package.credits", 1 <= package.credits <= CREDITS_MAX, f"1 to {CREDITS_MAX}")


def check_plan(plan: Plan) -> None:
    """Refuses `CatalogueInvalid`."""
    _check_offer("plan", plan)
    _check("plan.credits", 0 <= plan.credits <= CREDITS_MAX, f"0 to {CREDITS_MAX}")
    _check("plan.interval", plan.interval in (Plan.MONTH, Plan.YEAR), "MONTH or YEAR")


def check_top_up_price(price: TopUpPrice) -> None:
    """Refuses `CatalogueInvalid`."""
    name = "top_up_price"
    _check(f"{name}.currency", CURRENCY.fullmatch(price.currency) is not None, "ISO 4217")
    _check(f"{name}.credit_micros", 1 <= price.credit_micros <= CREDIT_MICROS_MAX, f"1 to {CREDIT_MICROS_MAX}")
    _check(f"{name}.credits_min", price.credits_min >= 1, "at least 1")
    _check(f"{name}.credits_max", price.credits_min <= price.credits_max <= CREDITS_MAX, f"up to {CREDITS_MAX}")
    dearest = _half_up(price.credits_max * price.credit_micros, MICROS_A_CENT)
    _check(f"{name}.credits_max", dearest <= PRICE_CENTS_MAX, f"a top-up costs up to {PRICE_CENTS_MAX} cents")


def check_vat_rate(rate: VatRate) -> None:
    """Refuses `CatalogueInvalid`."""
    _check("vat_rate.country", COUNTRY.fullmatch(rate.country) is not None, "ISO 3166-1 alpha-2, or ZZ")
    _check("vat_rate.basis_points", 0 <= rate.basis_points <= BASIS, f"0 to {BASIS}")


def _check_offer(name: str, offer: Package | Plan) -> None:
    """What packages and plans have in common."""
    is_named = 1 <= len(offer.name.strip()) <= NAME_LENGTH_MAX and offer.name.isprintable()
    is_stripe_id = len(offer.stripe_price_id) <= STRIPE_ID_LENGTH_MAX and offer.stripe_price_id.isascii()
    _check(f"{name}.id", IDENTIFIER.fullmatch(offer.id) is not None, "1 to 50 lower-case letters, digits, hyphens")
    _check(f"{name}.name", is_named, f"1 to {NAME_LENGTH_MAX} characters, none of them a control character")
    _check(f"{name}.currency", CURRENCY.fullmatch(offer.currency) is not None, "ISO 4217")
    _check(f"{name}.price_cents", 1 <= offer.price_cents <= PRICE_CENTS_MAX, f"1 to {PRICE_CENTS_MAX}")
    _check(f"{name}.stripe_price_id", is_stripe_id, "price_…")


def _check(field: str, is_right: bool, rule: str) -> None:
    if not is_right:
        raise CatalogueInvalid(field=field, rule=rule)
