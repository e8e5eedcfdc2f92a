"""Runs the stand-in until SIGTERM or Ctrl-C, with settings from `STRIPE_*` in the environment."""

from pathlib import Path

import uvloop
from pydantic_settings import BaseSettings, SettingsConfigDict

from deploy.local.stripe import StripeStandIn


class Settings(BaseSettings):
    """`STRIPE_PORT` 0 takes any free port; without `STRIPE_WEBHOOK_URL` no webhook is called."""

    model_config = SettingsConfigDict(env_prefix="STRIPE_", env_ignore_empty=True)

    secret_key: str
    port: int = 8082
    webhook_url: str = ""
    webhook_secret: str = ""
    data: Path | None = None


if __name__ == "__main__":
    uvloop.run(StripeStandIn(**Settings().model_dump()).run())
