"""Statements over who has which plan."""

from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert

from astronote.wallet.v1.wallet_pb2 import Subscription
from kit import rows
from kit.store import Store
from services.wallet.errors import SubscriptionChanging, SubscriptionNotFound
from services.wallet.reading import Subscribed
from services.wallet.tables import subscriptions

SUBSCRIPTION = rows.columns(Subscription, subscriptions)


class SubscriptionStatements(Store):
    async def subscription(self) -> Subscription:
        query = select(*SUBSCRIPTION).where(self._is_mine())
        row = (await self.connection.execute(query)).one_or_none()
        return rows.message(Subscription, row) if row else Subscription(state=Subscription.NONE)

    async def begin_subscription(self, plan: str) -> None:
        """Activates a plan without an end, unless the merchant has one."""
        row = {"merchant_id": self.merchant_id, "plan": plan, "state": Subscription.ACTIVE}
        await self.connection.execute(insert(subscriptions).values(row).on_conflict_do_nothing())

    async def put_subscription(self, found: Subscribed, look: int) -> None:
        """What is paid at Stripe, in the place of what was there; unless a later look has been written."""
        values = rows.values(found.subscription, subscriptions) | {"stripe_id": found.stripe_id, "look": look}
        put = insert(subscriptions).values(values | {"merchant_id": self.merchant_id})
        put = put.on_conflict_do_update(
            index_elements=[subscriptions.c.merchant_id], set_=values, where=subscriptions.c.look < look
        )
        await self.connection.execute(put)

    async def pays(self) -> bool:
        """Whether there is a plan at Stripe that has not ended."""
        query = select(subscriptions.c.stripe_id).where(self._is_mine(), *_is_paid())
        return (await self.connection.execute(query)).one_or_none() is not None

    async def begin_change(self, now: datetime, until: datetime) -> str:
        """The plan's id at Stripe, for the one who may change it until then.

        Refuses `SubscriptionNotFound`, `SubscriptionChanging`.
        """
        if not await self.pays():
            raise SubscriptionNotFound
        free = (self._is_mine(), subscriptions.c.change_expire_time <= now)
        taken = update(subscriptions).where(*free).values(change_expire_time=until).returning(subscriptions.c.stripe_id)
        found = (await self.connection.execute(taken)).scalar_one_or_none()
        if found is None:
            raise SubscriptionChanging
        return str(found)

    async def end_change(self, now: datetime) -> None:
        await self.connection.execute(update(subscriptions).where(self._is_mine()).values(change_expire_time=now))

    def _is_mine(self) -> Any:
        return subscriptions.c.merchant_id == self.merchant_id


def _is_paid() -> tuple[Any, Any]:
    lives = subscriptions.c.state.in_([Subscription.ACTIVE, Subscription.PAST_DUE])
    return subscriptions.c.stripe_id.is_not(None), lives
