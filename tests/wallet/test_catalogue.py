"""The catalogue over a real channel: what merchants see, what operators change, and who is remembered for it."""

import uuid
from typing import Any

import orjson
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from astronote.accounts.v1 import accounts_pb2 as accounts
from astronote.accounts.v1.accounts_pb2_grpc import AuthServiceStub
from astronote.wallet.v1 import catalogue_pb2 as pb
from astronote.wallet.v1.catalogue_pb2_grpc import CatalogueServiceStub, PricesServiceStub
from tests.wallet.client import Client, new_id, reason, refused

OPERATOR = str(uuid.uuid4())


async def operator(mesh: Any, method: str, **fields: Any) -> Any:
    peer = await mesh.service("wallet")
    metadata = peer.metadata(role="operator", user_id=OPERATOR)
    stub = CatalogueServiceStub(peer.channel)
    return await getattr(stub, method)(getattr(pb, f"{method}Request")(**fields), metadata=metadata, timeout=20)


async def merchant(mesh: Any, merchant_id: str, method: str, **fields: Any) -> Any:
    peer = await mesh.service("wallet")
    metadata = peer.metadata(merchant_id, role="merchant")
    stub = PricesServiceStub(peer.channel)
    return await getattr(stub, method)(getattr(pb, f"{method}Request")(**fields), metadata=metadata, timeout=20)


async def test_it_begins_with_what_is_sold(mesh: Any):
    found = await operator(mesh, "GetCatalogue")
    plans = {plan.id: (plan.interval, plan.credits, plan.currency, plan.price_cents) for plan in found.plans}
    assert plans["starter"] == (pb.Plan.MONTH, 100, "EUR", 4000)
    assert plans["pro"] == (pb.Plan.YEAR, 500, "EUR", 24000)
    (price,) = (price for price in found.top_up_prices if price.currency == "EUR")
    assert (price.credit_micros, price.credits_min, price.credits_max) == (45_000, 1, 1_000_000)
    assert {rate.country: rate.basis_points for rate in found.vat_rates}.items() >= {"GR": 2400, "ZZ": 2400}.items()


async def test_packages_are_for_merchants_with_a_plan_and_come_smallest_first(mesh: Any, merchant_id: str):
    without, wallet = str(uuid.uuid4()), Client(mesh, merchant_id)
    await wallet.register(plan="starter")
    assert not (await merchant(mesh, without, "ListPackages")).packages
    shown = (await merchant(mesh, merchant_id, "ListPackages")).packages
    assert [package.credits for package in shown] == sorted(package.credits for package in shown)
    assert len(shown) >= 3
    paged, token = [], ""
    while page := await merchant(mesh, merchant_id, "ListPackages", page_size=2, page_token=token):
        paged += page.packages
        if not (token := page.next_page_token):
            break
    assert paged == list(shown)
    assert await reason(merchant(mesh, merchant_id, "ListPackages", page_token="eA")) == "PAGE_TOKEN_INVALID"


async def test_a_change_is_seen_at_once_and_kept_with_who_made_it(mesh: Any, merchant_id: str):
    wallet, id = Client(mesh, merchant_id), f"test-{new_id()}"
    await wallet.register(plan="pro")
    package = pb.Package(id=id, name="Ten", credits=10, currency="EUR", price_cents=50, listed=True)
    assert await operator(mesh, "UpdatePackage", package=package) == package
    assert package in (await merchant(mesh, merchant_id, "ListPackages")).packages
    mask = FieldMask(paths=["listed"])
    hidden = await operator(mesh, "UpdatePackage", package=pb.Package(id=id), update_mask=mask)
    package.listed = False
    assert hidden == package
    assert package not in (await merchant(mesh, merchant_id, "ListPackages")).packages
    changes = (await operator(mesh, "ListCatalogueChanges", page_size=2)).changes
    assert [(change.operator_id, change.resource) for change in changes] == [(OPERATOR, f"packages/{id}")] * 2
    assert orjson.loads(changes[0].before)["listed"]
    assert orjson.loads(changes[0].after)["name"] == "Ten"
    assert changes[1].before == ""


async def test_a_change_that_is_refused_changes_nothing(mesh: Any):
    before = await operator(mesh, "GetCatalogue")
    plan = pb.Plan(id="starter", price_cents=-1)
    said, metadata = await refused(
        operator(mesh, "UpdatePlan", plan=plan, update_mask=FieldMask(paths=["price_cents"]))
    )
    assert (said, metadata["field"]) == ("CATALOGUE_INVALID", "plan.price_cents")
    # A new one needs all of it.
    said, metadata = await refused(operator(mesh, "UpdateTopUpPrice", top_up_price=pb.TopUpPrice(currency="USD")))
    assert (said, metadata["field"]) == ("CATALOGUE_INVALID", "top_up_price.credit_micros")
    mask = FieldMask(paths=["colour"])
    assert await reason(operator(mesh, "UpdatePlan", plan=plan, update_mask=mask)) == "MASK_INVALID"
    assert await operator(mesh, "GetCatalogue") == before


async def test_prices_are_of_the_merchants_country(mesh: Any):
    await operator(mesh, "UpdateVatRate", vat_rate=pb.VatRate(country="CY", basis_points=1900))
    for country, rate in (("CY", ("CY", 1900)), ("GR", ("GR", 2400)), ("IS", ("ZZ", 2400))):
        prices = await merchant(mesh, await registered(mesh, country), "GetPrices")
        assert (prices.vat_rate.country, prices.vat_rate.basis_points) == rate
        assert {plan.id for plan in prices.plans} == {"starter", "pro"}
        assert [price.currency for price in prices.top_up_prices] == ["EUR"]


async def registered(mesh: Any, country: str, company: str = "A") -> str:
    peer = await mesh.service("accounts")
    request = accounts.RegisterRequest(email=f"{uuid.uuid4()}@example.com", password="correct horse", company=company)
    request.country, request.time_zone = country, "Europe/Athens"
    session = await AuthServiceStub(peer.channel).Register(request, metadata=peer.metadata(role="public"), timeout=20)
    return session.merchant.id


@pytest.mark.parametrize("role", ["merchant", "public"])
async def test_only_operators_keep_it(mesh: Any, merchant_id: str, role: str):
    peer = await mesh.service("wallet")
    metadata = peer.metadata(merchant_id if role == "merchant" else "", role=role)
    call = CatalogueServiceStub(peer.channel).GetCatalogue(pb.GetCatalogueRequest(), metadata=metadata, timeout=20)
    assert await reason(call) == "ACCESS_DENIED"
