"""What the wallet reads from its environment."""

from typing import Literal

from pydantic import Field, SecretStr, field_validator

from kit.config import ServiceSettings
from services.wallet.ledger import GRANT_MAX


class Settings(ServiceSettings):
    """The welcome is for local runs and promotions: nothing, unless it is set."""

    #: Credits that a new merchant begins with.
    welcome_credits: int = Field(default=0, ge=0, le=GRANT_MAX)
    #: The plan that a new merchant begins with.
    welcome_plan: Literal["", "starter", "pro"] = ""
    #: A plan goes on for so long when the payment of its cycle fails.
    payment_grace_days: int = Field(default=7, ge=0, le=60)
    #: How often the whole ledger is counted again.
    recount_interval_seconds: float = Field(default=300, gt=0)
    #: What Stripe knows us by.
    stripe_secret_key: SecretStr
    #: What events are signed with; two, parted by a comma, while one is being replaced.
    stripe_webhook_secret: SecretStr
    #: Where Stripe answers; another one for tests.
    stripe_api_base: str = "https://api.stripe.com"

    @field_validator("stripe_webhook_secret")
    @classmethod
    def _has_no_empty_part(cls, secret: SecretStr) -> SecretStr:
        """What is signed with an empty secret is signed by anybody."""
        if not all(part.strip() for part in secret.get_secret_value().split(",")):
            raise ValueError("one of the secrets is empty")
        return secret
