"""What a merchant's plan allows."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from astronote.wallet.v1.wallet_pb2 import Subscription


@dataclass(frozen=True, slots=True)
class Terms:
    """`grace`: how long a plan goes on as it was when the payment of its cycle fails. Stripe tries again meanwhile."""

    grace: timedelta

    def is_entitled(self, subscription: Subscription, now: datetime) -> bool:
        """Whether the merchant may send campaigns, run automations and buy packages."""
        end = self.grace_end_time(subscription)
        return subscription.state == Subscription.ACTIVE or (end is not None and now < end)

    def grace_end_time(self, subscription: Subscription) -> datetime | None:
        """Counted from the begin of the cycle that is not paid; None where nothing is owed."""
        if subscription.state != Subscription.PAST_DUE or not subscription.HasField("period_start_time"):
            return None
        return subscription.period_start_time.ToDatetime(tzinfo=UTC) + self.grace
