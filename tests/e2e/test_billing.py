"""Buying over HTTP in a running mesh: the stand-in's page, its signed webhooks through the gateway, and the wallet."""

import time
from typing import Any

import httpx
import pytest

from deploy.local.mesh import Mesh
from tests.shop import END_SECONDS, Shop

pytestmark = [pytest.mark.xdist_group("e2e"), pytest.mark.timeout(240)]
URLS = {"successUrl": "https://shop.test/paid", "cancelUrl": "https://shop.test/not"}


def wallet(shop: Shop, purchased: int) -> dict[str, Any]:
    """Once so many credits are bought."""
    deadline = time.monotonic() + END_SECONDS
    while (found := shop.call("GET", "/v1/wallet"))["purchased"] != purchased:
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
    return found


def test_a_merchant_buys_credits_and_a_forger_does_not(running_mesh: Mesh, shop: Shop) -> None:
    before = shop.call("GET", "/v1/wallet")["available"]
    headers = {"Idempotency-Key": shop.sender_name}
    order = {"credits": 1000, "currency": "EUR", **URLS}
    pages = [shop.call("POST", "/v1/billing/checkout", json=order, headers=headers) for _ in range(2)]
    assert pages[0] == pages[1]
    assert httpx.post(pages[0]["url"], data={"action": "pay"}, timeout=10).headers["location"] == URLS["successUrl"]
    assert wallet(shop, purchased=1000)["available"] == before + 1000
    (bought,) = shop.call("GET", "/v1/billing/purchases")["purchases"]
    assert (bought["id"], bought["state"], bought["totalCents"]) == (pages[0]["purchaseId"], "PAID", 5580)
    portal = shop.call("GET", "/v1/billing/portal", params={"returnUrl": URLS["successUrl"]})
    assert httpx.get(portal["url"], timeout=10).is_success
    forged = {"id": "evt_1", "type": "invoice.paid", "data": {"object": {"id": "in_1"}}}
    signature = {"Stripe-Signature": f"t={int(time.time())},v1={'0' * 64}"}
    assert httpx.post(f"{running_mesh.url}/webhooks/stripe", json=forged, headers=signature).status_code == 401
