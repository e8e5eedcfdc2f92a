"""Runs the stand-in until SIGTERM or Ctrl-C, with settings from `STRIPE_*` in the environment."""

import asyncio
import signal
import sys
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


async def main(settings: Settings) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with StripeStandIn(**settings.model_dump()) as stripe:
        sys.stderr.write(f"the stand-in for Stripe listens on {stripe.url}\n")
        await stopped.wait()


if __name__ == "__main__":
    uvloop.run(main(Settings()))
