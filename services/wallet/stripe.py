"""The port to Stripe. Its client tries again by itself, under one idempotency key; no transaction is open meanwhile.

What is answered are Stripe's objects as plain dictionaries. Every method refuses `StripeAway`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import stripe

from astronote.wallet.v1.billing_pb2 import Purchase
from services.wallet.checkout import terms
from services.wallet.errors import PaymentFailed, StripeAway, TotalTooSmall

# The shapes that `reading` reads; events of a newer version are looked at in these shapes, too.
API_VERSION = "2026-10-28.endive"
TIMEOUT_SECONDS = 8
RETRIES = 2
# Of refunds, disputes, subscriptions: more than anybody has of one payment or customer.
LISTED_MAX = 100
AWAY = (
    stripe.APIConnectionError,
    stripe.APIError,
    stripe.RateLimitError,
    stripe.AuthenticationError,
    stripe.PermissionError,
)
Object = dict[str, Any]


class Stripe:
    def __init__(self, key: str, base: str) -> None:
        self._http = stripe.HTTPXClient(timeout=TIMEOUT_SECONDS)
        client = stripe.StripeClient(
            key,
            stripe_version=API_VERSION,
            base_addresses={"api": base},
            max_network_retries=RETRIES,
            http_client=self._http,
        )
        self._v1 = client.v1

    # What merchants begin

    async def make_customer(self, merchant_id: str, name: str) -> str:
        """The id of the merchant's customer; again within a day, the same."""
        with _asked():
            customer = await self._v1.customers.create_async(
                params={"name": name, "metadata": {"merchant_id": merchant_id}},
                options={"idempotency_key": f"customer:{merchant_id}"},
            )
        return customer.id

    async def open_session(self, purchase_id: str, parameters: Any) -> Object:
        """A purchase's page; again, the same. Refuses `TotalTooSmall`."""
        with _asked():
            opened = await self._v1.checkout.sessions.create_async(
                params=parameters, options={"idempotency_key": purchase_id}
            )
        return _plain(opened)

    async def close_session(self, id: str) -> bool:
        """False where it is paid or closed already."""
        with _asked():
            try:
                await self._v1.checkout.sessions.expire_async(id)
            except stripe.InvalidRequestError:
                return False
        return True

    async def charge(self, customer: str, purchase: Purchase, merchant_id: str) -> str:
        """Takes a purchase's price from the customer's newest card, without the customer; the id of the payment. Again,
        the same. Refuses `PaymentFailed`, also where there is no card, and `TotalTooSmall`.
        """
        ours = {"merchant_id": merchant_id, "purchase_id": purchase.id}
        with _asked():
            cards = await self._v1.customers.payment_methods.list_async(customer, params={"limit": 1})
            if not cards.data:
                raise PaymentFailed(code="no_card")
            payment = await self._v1.payment_intents.create_async(
                params={
                    "amount": purchase.total_cents,
                    "currency": purchase.currency.lower(),
                    "customer": customer,
                    "payment_method": cards.data[0].id,
                    "off_session": True,
                    "confirm": True,
                    "metadata": ours | terms(purchase.item, purchase),
                },
                options={"idempotency_key": purchase.id},
            )
        return payment.id

    async def open_portal(self, customer: str, return_url: str) -> str:
        with _asked():
            portal = await self._v1.billing_portal.sessions.create_async(
                params={"customer": customer, "return_url": return_url}
            )
        return portal.url

    async def change(self, subscription: str, parameters: Any) -> None:
        """Refuses `PaymentFailed`."""
        with _asked():
            await self._v1.subscriptions.update_async(subscription, params=parameters)

    async def schedule(self, subscription: str) -> Object:
        """A schedule that begins with the cycle in hand."""
        with _asked():
            return _plain(
                await self._v1.subscription_schedules.create_async(params={"from_subscription": subscription})
            )

    async def plan_phases(self, schedule: str, phases: Any) -> None:
        with _asked():
            await self._v1.subscription_schedules.update_async(
                schedule, params={"phases": phases, "end_behavior": "release"}
            )

    async def release(self, schedule: str) -> None:
        """The subscription goes on as it is."""
        with _asked():
            await self._v1.subscription_schedules.release_async(schedule)

    # What is true

    async def session(self, id: str) -> Object:
        """With its payment intent."""
        with _asked():
            found = await self._v1.checkout.sessions.retrieve_async(id, params={"expand": ["payment_intent"]})
        return _plain(found)

    async def payment(self, id: str) -> Object:
        with _asked():
            return _plain(await self._v1.payment_intents.retrieve_async(id))

    async def session_of(self, payment: str) -> str | None:
        """The session that was paid with this payment intent."""
        with _asked():
            found = await self._v1.checkout.sessions.list_async(params={"payment_intent": payment, "limit": 1})
        return found.data[0].id if found.data else None

    async def invoice(self, id: str) -> Object:
        """With its payments."""
        with _asked():
            return _plain(await self._v1.invoices.retrieve_async(id, params={"expand": ["payments"]}))

    async def invoice_of(self, payment: str) -> str | None:
        """The invoice that was paid with this payment intent."""
        with _asked():
            found = await self._v1.invoice_payments.list_async(
                params={"payment": {"type": "payment_intent", "payment_intent": payment}, "limit": 1}
            )
        return str(found.data[0].invoice) if found.data else None

    async def refunds(self, payment: str) -> list[Object]:
        with _asked():
            return _all(await self._v1.refunds.list_async(params={"payment_intent": payment, "limit": LISTED_MAX}))

    async def disputes(self, payment: str) -> list[Object]:
        with _asked():
            return _all(await self._v1.disputes.list_async(params={"payment_intent": payment, "limit": LISTED_MAX}))

    async def subscriptions(self, customer: str) -> list[Object]:
        """All that there ever were, with their schedules."""
        with _asked():
            found = await self._v1.subscriptions.list_async(
                params={"customer": customer, "status": "all", "limit": LISTED_MAX, "expand": ["data.schedule"]}
            )
        return _all(found)

    async def events(self, start: datetime, end: datetime, after: str) -> tuple[list[Object], bool]:
        """Of a range of time, newest first, from the one that is named on; and whether there are more."""
        asked: Any = {"created": {"gte": int(start.timestamp()), "lt": int(end.timestamp())}, "limit": LISTED_MAX}
        if after:
            asked["starting_after"] = after
        with _asked():
            found = await self._v1.events.list_async(params=asked)
        return _all(found), bool(found.has_more)

    async def close(self) -> None:
        await self._http.close_async()  # type: ignore[no-untyped-call]


@contextmanager
def _asked() -> Iterator[None]:
    """Stripe's errors in our words. One that is not here is a fault of ours, and looks like one."""
    try:
        yield
    except stripe.CardError as error:
        raise PaymentFailed(code=error.code) from error
    except AWAY as error:
        raise StripeAway(problem=type(error).__name__) from error
    except stripe.InvalidRequestError as error:
        if error.code == "amount_too_small":
            raise TotalTooSmall(field="credits") from error
        raise


def _plain(found: Any) -> Object:
    shown: Object = found.to_dict()
    return shown


def _all(found: Any) -> list[Object]:
    return [_plain(each) for each in found.data]
