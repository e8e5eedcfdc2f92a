"""A merchant who buys, and the Stripe that is bought at: the stand-in, or Stripe's test mode with `STRIPE_TEST_KEY`.

Stripe's own client is used for all that Stripe's API does. Only the stand-in has a page on which a program may pay, and
a clock to be advanced; tests of these are skipped in test mode, where a person would be needed.
"""

import asyncio
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import grpc
import httpx
import orjson
import pytest
import stripe

from astronote.accounts.v1 import accounts_pb2 as accounts
from astronote.accounts.v1.accounts_pb2_grpc import AuthServiceStub
from astronote.wallet.v1 import billing_pb2 as pb
from astronote.wallet.v1.billing_pb2_grpc import BillingServiceStub, StripeEventsServiceStub
from tests.conftest import SETTINGS, STRIPE_TEST_KEY, TestMesh
from tests.wallet.client import Client, new_id

IS_LIVE = bool(STRIPE_TEST_KEY)
URLS = {"success_url": "https://shop.test/paid", "cancel_url": "https://shop.test/not"}


class Till:
    """Stripe, from the other side of the counter."""

    def __init__(self) -> None:
        settings = SETTINGS["wallet"]
        self._base = settings["stripe_api_base"]
        self._transport = stripe.HTTPXClient(timeout=20)
        addresses = {"api": self._base}
        client = stripe.StripeClient(
            settings["stripe_secret_key"], base_addresses=addresses, http_client=self._transport
        )
        self.api = client.v1
        self._http = httpx.AsyncClient(timeout=20)

    async def press(self, page: str, button: str = "pay") -> str:
        """Presses a button of the page on which a purchase is paid; where one is sent."""
        if IS_LIVE:
            pytest.skip("on Stripe's own page it takes a person to pay")
        answer = await self._http.post(page, data={"action": button})
        return answer.headers.get("location", "")

    async def control(self, name: str, **asked: Any) -> Any:
        """What no API of Stripe's does: the clock, the bank."""
        if IS_LIVE:
            pytest.skip(f"Stripe's test mode has no {name}")
        answer = await self._http.post(f"{self._base}/_stand-in/{name}", json=asked)
        assert answer.is_success, answer.text
        return answer.json()

    async def forget(self) -> None:
        """The stand-in knows nothing of the tests before, whose plans would be renewed with each step of the clock."""
        if not IS_LIVE:
            await self.control("reset")

    async def refund(self, payment: str, **asked: Any) -> Any:
        return await self.api.refunds.create_async(params={"payment_intent": payment, **asked})

    async def session(self, page: str) -> Any:
        return await self.api.checkout.sessions.retrieve_async(urlsplit(page).path.rpartition("/")[2])

    async def latest(self) -> str:
        """The event before which a test begins."""
        found = await self.api.events.list_async(params={"limit": 1})
        return found.data[0].id if found.data else ""

    async def events(self, customer: str, after: str) -> list[dict[str, Any]]:
        """What Stripe says of a customer after an event, oldest first."""
        since: Any = {"limit": 100} | ({"ending_before": after} if after else {})
        found = await self.api.events.list_async(params=since)
        assert not found.has_more, "a test is of fewer events"
        events = [event.to_dict() for event in found.data]
        about = [(event, event["data"]["object"]) for event in reversed(events)]
        of_customer = [each for each in about if each[1].get("customer") == customer]
        payments = {each["id"] for _, each in of_customer if each["object"] == "payment_intent"}
        return [
            event for event, each in about if (event, each) in of_customer or each.get("payment_intent") in payments
        ]

    async def close(self) -> None:
        await self._http.aclose()
        await self._transport.close_async()


class Buyer(Client):
    """A merchant with an account. `heard` are the events that were delivered to the wallet."""

    def __init__(self, mesh: TestMesh, till: Till, merchant_id: str, after: str = "") -> None:
        super().__init__(mesh, merchant_id)
        self.till, self._after = till, after
        self.heard: set[str] = set()

    @classmethod
    async def register_one(cls, mesh: TestMesh, till: Till) -> "Buyer":
        peer = await mesh.service("accounts")
        request = accounts.RegisterRequest(email=f"{new_id()}@example.com", password="correct horse", company="Καφέ")
        session = await AuthServiceStub(peer.channel).Register(
            request, metadata=peer.metadata(role="public"), timeout=20
        )
        return cls(mesh, till, session.merchant.id, await till.latest())

    async def bill(self, method: str, **fields: Any) -> Any:
        peer = await self.mesh.service("wallet")
        request = getattr(pb, f"{method}Request")(**fields)
        metadata = peer.metadata(self.merchant_id, role="merchant")
        return await getattr(BillingServiceStub(peer.channel), method)(request, metadata=metadata, timeout=30)

    async def checkout(self, credits: int = 1000, **fields: Any) -> Any:
        return await self.bill(
            "Checkout", **URLS | {"credits": credits, "currency": "EUR", "request_id": new_id()} | fields
        )

    async def subscribe(self, plan: str = "starter", **fields: Any) -> Any:
        return await self.bill("CheckoutSubscription", **URLS | {"plan": plan, "request_id": new_id()} | fields)

    async def begin_plan(self, plan: str) -> Any:
        """Subscribes, and pays the first cycle."""
        page = await self.subscribe(plan)
        await self.till.press(page.url)
        await self.hear()
        return page

    async def purchase(self, id: str) -> Any:
        return await self.bill("GetPurchase", id=id)

    async def customer(self) -> str:
        async with self.mesh.app("wallet").store.open(self.mesh.app("wallet").database, self.merchant_id) as store:
            return str(await store.customer())

    async def events(self) -> list[dict[str, Any]]:
        """All that Stripe has said of this merchant, oldest first."""
        return await self.till.events(await self.customer(), self._after)

    async def hear(self, events: Iterable[dict[str, Any]] | None = None) -> None:
        """Delivers events, or all that Stripe has for this merchant, and waits until they are handled."""
        if events is None:
            events = [event for event in await self.events() if event["id"] not in self.heard]
        for event in events:
            await deliver(self.mesh, event)
            self.heard.add(event["id"])
        await handled(self.mesh, self.heard)

    async def shown(self) -> tuple[int, int]:
        """What is available, and what is owed."""
        wallet = await self("GetWallet", "gateway")
        return wallet.available, wallet.debt


def signed(body: bytes, at_seconds: float | None = None, secret: str = "") -> str:
    at = int(time.time() if at_seconds is None else at_seconds)
    secret = secret or SETTINGS["wallet"]["stripe_webhook_secret"]
    return stripe.WebhookSignature.generate_signature_header(body.decode(), secret, at)


async def deliver(mesh: TestMesh, event: dict[str, Any] | bytes, signature: str | None = None) -> None:
    """As the gateway does."""
    peer = await mesh.service("wallet")
    body = event if isinstance(event, bytes) else orjson.dumps(event)
    request = pb.ReceiveStripeEventRequest()
    request.body.data = body
    header = ("http-stripe-signature", signed(body) if signature is None else signature)
    stub = StripeEventsServiceStub(peer.channel)
    await stub.ReceiveStripeEvent(request, metadata=(*peer.metadata(role="webhook"), header), timeout=20)


async def operate(mesh: TestMesh, method: str, **fields: Any) -> Any:
    """As an operator; a range of time is from a few seconds ago on, unless it is given."""
    peer, request = await mesh.service("wallet"), getattr(pb, f"{method}Request")(**fields)
    if "start_time" in request.DESCRIPTOR.fields_by_name and not request.HasField("start_time"):
        now = datetime.now(UTC)
        request.start_time.FromDatetime(now - timedelta(seconds=20))
        request.end_time.FromDatetime(now + timedelta(days=1000))
    metadata = peer.metadata(role="operator", user_id=new_id())
    return await getattr(StripeEventsServiceStub(peer.channel), method)(request, metadata=metadata, timeout=30)


async def listed(mesh: TestMesh, **fields: Any) -> list[pb.StripeEvent]:
    """The latest events in the journal."""
    return list((await operate(mesh, "ListStripeEvents", page_size=500, **fields)).events)


async def journal(mesh: TestMesh) -> dict[str, pb.StripeEvent]:
    """By id."""
    return {event.id: event for event in await listed(mesh)}


async def handled(mesh: TestMesh, ids: Iterable[str]) -> None:
    """Until none of them waits."""
    async with asyncio.timeout(20):
        while {event.id for event in await listed(mesh, state=pb.StripeEvent.PENDING)} & set(ids):
            await asyncio.sleep(0.02)


def code(error: BaseException) -> grpc.StatusCode:
    assert isinstance(error, grpc.aio.AioRpcError)
    return error.code()
