"""A stand-in for Stripe: the part of its API, pages and webhooks that billing uses, with a clock that can be advanced.

It refuses what Stripe refuses (a wrong key, parameters it does not know, another body under a used idempotency key) and
remembers what was paid. `python -m deploy.local.stripe` runs it as a process; tests start it in their own event loop:

    async with StripeStandIn(secret_key="sk_test", webhook_url="http://127.0.0.1:8080/webhooks/stripe",
                             webhook_secret="whsec_x") as stripe:
        stripe.url

Read from the top: `server` (life cycle), `routes` (HTTP), `api` (which call is which), `sessions`, `subscriptions` and
`payments` (what Stripe does), `pages` (what people see), `control` (`/_stand-in/*`), `book` (what it knows),
`deliveries` (webhooks), `forms` (bodies).
"""

from deploy.local.stripe.server import StripeStandIn

__all__ = ["StripeStandIn"]
