"""What things cost, without a database."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astronote.wallet.v1.catalogue_pb2 import Package, Plan, TopUpPrice, VatRate
from services.wallet import catalogue
from services.wallet.catalogue import Charge
from services.wallet.errors import CatalogueInvalid, CreditsInvalid

GREECE = VatRate(country="GR", basis_points=2400)
TOP_UP = TopUpPrice(currency="EUR", credit_micros=45_000, credits_min=1, credits_max=1_000_000)


@pytest.mark.parametrize(
    ("credits", "net_cents", "vat_cents"),
    [(1, 5, 1), (2, 9, 2), (100, 450, 108), (1000, 4500, 1080), (1_000_000, 4_500_000, 1_080_000)],
)
def test_a_top_up_costs_four_and_a_half_cents_a_credit_and_vat(credits: int, net_cents: int, vat_cents: int):
    charge = catalogue.of_top_up(TOP_UP, credits, GREECE)
    assert charge == Charge(credits, "EUR", net_cents, vat_cents)
    assert charge.total_cents == net_cents + vat_cents


@pytest.mark.parametrize("credits", [-1, 0, 1_000_001])
def test_a_top_up_is_of_1_to_1000000_credits(credits: int):
    with pytest.raises(CreditsInvalid) as raised:
        catalogue.of_top_up(TOP_UP, credits, GREECE)
    assert raised.value.metadata == {"field": "credits", "credits_min": "1", "credits_max": "1000000"}


@given(st.integers(1, catalogue.PRICE_CENTS_MAX), st.integers(0, 10_000))
def test_a_plan_and_a_package_cost_what_they_say(price_cents: int, basis_points: int):
    vat = VatRate(basis_points=basis_points)
    for charge in (
        catalogue.of_plan(Plan(credits=7, currency="EUR", price_cents=price_cents), vat),
        catalogue.of_package(Package(credits=7, currency="EUR", price_cents=price_cents), vat),
    ):
        assert charge.total_cents == price_cents
        # The tax is that of the net amount, to the cent.
        assert abs(charge.vat_cents - charge.net_cents * basis_points / 10_000) <= 1


def package(**fields: Any) -> Package:
    return Package(**{"id": "p", "name": "P", "credits": 1, "currency": "EUR", "price_cents": 1} | fields)


def plan(**fields: Any) -> Plan:
    return Plan(**{"id": "p", "name": "P", "interval": Plan.YEAR, "currency": "EUR", "price_cents": 1} | fields)


def top_up(**fields: Any) -> TopUpPrice:
    return TopUpPrice(**{"currency": "EUR", "credit_micros": 1, "credits_min": 1, "credits_max": 1} | fields)


@pytest.mark.parametrize(
    ("check", "entry", "field"),
    [
        (catalogue.check_package, package(id="Big one"), "package.id"),
        (catalogue.check_package, package(name=" "), "package.name"),
        (catalogue.check_package, package(name="a\nb"), "package.name"),
        (catalogue.check_package, package(credits=0), "package.credits"),
        (catalogue.check_package, package(currency="eur"), "package.currency"),
        (catalogue.check_package, package(price_cents=0), "package.price_cents"),
        (catalogue.check_package, package(price_cents=2**31 - 1), "package.price_cents"),
        (catalogue.check_package, package(stripe_price_id="€"), "package.stripe_price_id"),
        (catalogue.check_plan, plan(interval=0), "plan.interval"),
        (catalogue.check_plan, plan(credits=-1), "plan.credits"),
        (catalogue.check_top_up_price, top_up(currency=""), "top_up_price.currency"),
        (catalogue.check_top_up_price, top_up(credit_micros=0), "top_up_price.credit_micros"),
        (catalogue.check_top_up_price, top_up(credits_min=2), "top_up_price.credits_max"),
        (catalogue.check_top_up_price, top_up(credit_micros=10**8, credits_max=10**7), "top_up_price.credits_max"),
        (catalogue.check_vat_rate, VatRate(country="Greece"), "vat_rate.country"),
        (catalogue.check_vat_rate, VatRate(country="GR", basis_points=10_001), "vat_rate.basis_points"),
    ],
)
def test_what_the_catalogue_may_not_say(check: Any, entry: Any, field: str):
    with pytest.raises(CatalogueInvalid) as raised:
        check(entry)
    assert raised.value.metadata["field"] == field


def test_what_it_may_say():
    catalogue.check_package(package(name="1.000 μονάδες"))
    catalogue.check_plan(plan())
    catalogue.check_top_up_price(TOP_UP)
    catalogue.check_vat_rate(GREECE)
