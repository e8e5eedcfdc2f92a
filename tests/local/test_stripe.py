"""The stand-in for Stripe refuses what Stripe refuses, answers a key once, posts until it is taken, and remembers."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.local.stripe import StripeStandIn
from tests.local.mitto import Webhooks, until

KEY = {"Authorization": "Bearer sk_test"}
SESSION = {
    "mode": "payment",
    "success_url": "https://shop.test",
    "line_items[0][price_data][currency]": "eur",
    "line_items[0][price_data][unit_amount]": "5000",
    "line_items[0][price_data][product_data][name]": "1,000 credits",
}


def caller(stripe: StripeStandIn, **headers: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=stripe.url, headers=KEY | headers, timeout=5)


@pytest.mark.parametrize(
    ("changes", "headers", "status", "code"),
    [
        ({}, {"Authorization": "Bearer sk_wrong"}, 401, None),
        ({"payment_method_types[0]": "card"}, {}, 400, "parameter_unknown"),
        ({"mode": "subscription"}, {}, 400, None),
        ({"line_items[0][price_data][unit_amount]": "49"}, {}, 400, "amount_too_small"),
        ({"customer": "cus_unknown"}, {}, 404, "resource_missing"),
    ],
)
async def test_it_refuses_what_stripe_refuses(
    changes: dict[str, str], headers: dict[str, str], status: int, code: str | None
):
    async with StripeStandIn(secret_key="sk_test") as stripe, caller(stripe) as http:
        answer = await http.post("/v1/checkout/sessions", data=SESSION | changes, headers=headers)
        assert answer.status_code == status
        assert answer.json()["error"].get("code") == code
        assert (await http.get("/v1/nothing")).status_code == 404


async def test_a_key_is_answered_once_and_not_for_another_body():
    async with StripeStandIn(secret_key="sk_test") as stripe, caller(stripe, **{"Idempotency-Key": "k"}) as http:
        answers = [(await http.post("/v1/checkout/sessions", data=SESSION)).json() for _ in range(2)]
        assert answers[0] == answers[1]
        other = await http.post("/v1/checkout/sessions", data=SESSION | {"success_url": "https://other.test"})
        assert (other.status_code, other.json()["error"]["type"]) == (400, "idempotency_error")


async def test_what_happened_and_what_is_to_be_told_outlive_it(tmp_path: Path):
    webhooks = Webhooks()
    async with webhooks.running():
        url = f"{webhooks.url}/webhooks/stripe"
    settings: dict[str, Any] = {"secret_key": "sk_test", "webhook_url": url, "webhook_secret": "s", "data": tmp_path}
    # Nobody listens at the webhook yet.
    async with StripeStandIn(**settings) as stripe, caller(stripe) as http:
        session = (await http.post("/v1/checkout/sessions", data=SESSION)).json()
        await http.post(f"/pay/{session['id']}", data={"action": "pay"})
    webhooks.statuses = [500]
    async with webhooks.running(), StripeStandIn(**settings) as stripe, caller(stripe) as http:
        paid = (await http.get(f"/v1/checkout/sessions/{session['id']}")).json()
        assert paid["payment_status"] == "paid"
        await until(lambda: len(webhooks.requests) == 3)
        types = {event["type"] for _, _, event in webhooks.requests}
        assert types == {"payment_intent.succeeded", "charge.succeeded", "checkout.session.completed"}
        await all_told(http)


async def all_told(http: httpx.AsyncClient) -> None:
    """Until nothing is left to be told."""
    for _ in range(100):
        if (await http.post("/_stand-in/summary")).json()["undelivered"] == 0:
            return
    raise AssertionError("events are still to be delivered")
