"""Changes a plan that is paid at Stripe. What is there is asked for first, so that the same again changes nothing."""

from typing import Any

from services.wallet.checkout import Offer, terms
from services.wallet.reading import Object
from services.wallet.stripe import Stripe


async def change(stripe: Stripe, subscription: Object, offer: Offer) -> None:
    """To more credits a cycle at once, in proportion; to fewer when the cycle ends; to the same: as it is, for good.

    Refuses `PaymentFailed`, `StripeAway`.
    """
    await _release(stripe, subscription)
    metadata, credits = subscription["metadata"], offer.charge.credits
    if metadata.get("plan") == offer.item:
        await stripe.change(subscription["id"], {"cancel_at_period_end": False})
    elif credits > int(metadata.get("credits", 0)):
        await stripe.change(subscription["id"], _upgrade(subscription, offer))
    else:
        if subscription["cancel_at_period_end"]:
            await stripe.change(subscription["id"], {"cancel_at_period_end": False})
        schedule = await stripe.schedule(subscription["id"])
        await stripe.plan_phases(schedule["id"], _downgrade(subscription, schedule, offer))


async def cancel(stripe: Stripe, subscription: Object) -> None:
    """At the end of the cycle that is paid. Refuses `StripeAway`."""
    await _release(stripe, subscription)
    await stripe.change(subscription["id"], {"cancel_at_period_end": True})


async def _release(stripe: Stripe, subscription: Object) -> None:
    """A change that was to come does not."""
    schedule = subscription["schedule"]
    if schedule and schedule["status"] in ("active", "not_started"):
        await stripe.release(schedule["id"])


def _upgrade(subscription: Object, offer: Offer) -> dict[str, Any]:
    """Invoiced at once, or not done at all."""
    return {
        "items": [{"id": _item(subscription)["id"], **_price(subscription, offer)}],
        "metadata": terms(offer.item, offer.charge)
        | {"previous_credits": subscription["metadata"].get("credits", "0")},
        "proration_behavior": "always_invoice",
        "payment_behavior": "error_if_incomplete",
        "cancel_at_period_end": False,
    }


def _downgrade(subscription: Object, schedule: Object, offer: Offer) -> list[dict[str, Any]]:
    """The cycle in hand as it is, and then the other plan."""
    now = schedule["phases"][0]
    current = {"start_date": now["start_date"], "end_date": now["end_date"]}
    current["items"] = [{"price": _item(subscription)["price"]["id"], "quantity": 1}]
    then = {"items": [{"quantity": 1, **_price(subscription, offer)}], "metadata": terms(offer.item, offer.charge)}
    return [current, then | {"proration_behavior": "none"}]


def _price(subscription: Object, offer: Offer) -> dict[str, Any]:
    return offer.price(product=_item(subscription)["price"]["product"])


def _item(subscription: Object) -> dict[str, Any]:
    found: dict[str, Any] = subscription["items"]["data"][0]
    return found
