"""Runs the stand-in until SIGTERM or Ctrl-C, with settings from `MITTO_*` in the environment."""

import asyncio
import gc
import signal
import sys
from pathlib import Path

import uvloop
from pydantic_settings import BaseSettings, SettingsConfigDict

from deploy.local.mitto import MittoStandIn


class Settings(BaseSettings):
    """`MITTO_PORT` 0 takes any free port; without `MITTO_CALLBACK_URL` no webhook is called."""

    model_config = SettingsConfigDict(env_prefix="MITTO_", env_ignore_empty=True)

    api_key: str
    port: int = 8081
    callback_url: str | None = None
    callback_secret: str = ""
    data: Path | None = None


async def main(settings: Settings) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with MittoStandIn(**settings.model_dump()) as mitto:
        sys.stderr.write(f"the stand-in for Mitto listens on {mitto.url}\n")
        await stopped.wait()


if __name__ == "__main__":
    # A bulk call makes 10,000 short-lived dictionaries and no cycle: the default of 700 collects it 15 times over.
    gc.set_threshold(100_000, 20, 20)
    uvloop.run(main(Settings()))
