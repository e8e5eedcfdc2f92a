"""What the wallet reads from its environment."""

from typing import Literal

from pydantic import Field

from kit.config import ServiceSettings
from services.wallet.ledger import GRANT_MAX


class Settings(ServiceSettings):
    """The welcome is for local runs and promotions: nothing, unless it is set."""

    #: Credits that a new merchant begins with.
    welcome_credits: int = Field(default=0, ge=0, le=GRANT_MAX)
    #: The plan that a new merchant begins with.
    welcome_plan: Literal["", "starter", "pro"] = ""
    #: How often the whole ledger is counted again.
    recount_interval_seconds: float = Field(default=300, gt=0)
