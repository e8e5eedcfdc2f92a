"""Statements over who has which plan."""

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from astronote.wallet.v1.wallet_pb2 import Subscription
from kit import rows
from kit.store import Store
from services.wallet.tables import subscriptions

SUBSCRIPTION = rows.columns(Subscription, subscriptions)


class SubscriptionStatements(Store):
    async def subscription(self) -> Subscription:
        query = select(*SUBSCRIPTION).where(subscriptions.c.merchant_id == self.merchant_id)
        row = (await self.connection.execute(query)).one_or_none()
        return rows.message(Subscription, row) if row else Subscription(state=Subscription.NONE)

    async def begin_subscription(self, plan: str) -> None:
        """Activates a plan without an end, unless the merchant has one."""
        row = {"merchant_id": self.merchant_id, "plan": plan, "state": Subscription.ACTIVE}
        await self.connection.execute(insert(subscriptions).values(row).on_conflict_do_nothing())
