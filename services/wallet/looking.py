"""Asks Stripe for all that a cause may have changed, so that no event has to be believed, or to come in its turn."""

import asyncio

from services.wallet.reading import (
    Cause,
    Object,
    Payment,
    Subscribed,
    of_invoice,
    of_payment,
    of_session,
    of_subscriptions,
    payments_of,
)
from services.wallet.stripe import Stripe

Finding = Payment | Subscribed


class Looks:
    def __init__(self, stripe: Stripe) -> None:
        self._stripe = stripe

    async def at(self, cause: Cause) -> list[Finding]:
        """Nothing where it is somebody else's. Refuses `StripeAway`."""
        match cause.subject:
            case "session":
                found = await self._session(cause.id)
            case "invoice":
                found = await self._invoice(cause.id)
            case "payment":
                found = await self._payment(cause.id)
            case "customer":
                found = [await self.plan(cause.id)]
        return [finding for finding in found if finding is not None]

    async def plan(self, customer: str) -> Subscribed | None:
        """The plan that a customer has."""
        return of_subscriptions(await self._stripe.subscriptions(customer))

    async def _session(self, id: str) -> list[Finding | None]:
        session = await self._stripe.session(id)
        if session["invoice"]:
            return await self._invoice(session["invoice"])
        intent = session["payment_intent"]
        return [of_session(session, *await self._returned([intent["id"]] if intent else []))]

    async def _invoice(self, id: str) -> list[Finding | None]:
        """And the plan: it is a cycle of it."""
        invoice = await self._stripe.invoice(id)
        returned, plan = await asyncio.gather(self._returned(payments_of(invoice)), self.plan(invoice["customer"]))
        return [of_invoice(invoice, *returned), plan]

    async def _payment(self, id: str) -> list[Finding | None]:
        """Whatever was paid with it."""
        if session := await self._stripe.session_of(id):
            return await self._session(session)
        if invoice := await self._stripe.invoice_of(id):
            return await self._invoice(invoice)
        return [of_payment(await self._stripe.payment(id), *await self._returned([id]))]

    async def _returned(self, payments: list[str]) -> tuple[list[Object], list[Object]]:
        """Refunds and disputes of payment intents."""
        refunds = await asyncio.gather(*(self._stripe.refunds(payment) for payment in payments))
        disputes = await asyncio.gather(*(self._stripe.disputes(payment) for payment in payments))
        return [refund for each in refunds for refund in each], [dispute for each in disputes for dispute in each]
