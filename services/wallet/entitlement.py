"""What a merchant's plan allows."""

from astronote.wallet.v1.wallet_pb2 import Subscription


def is_entitled(subscription: Subscription) -> bool:
    """Whether the merchant may send campaigns, run automations and buy packages."""
    return subscription.state == Subscription.ACTIVE
