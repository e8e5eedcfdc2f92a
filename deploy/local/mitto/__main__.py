"""Runs the stand-in until SIGTERM or Ctrl-C, with settings from `MITTO_*` in the environment."""

import gc
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


if __name__ == "__main__":
    # A bulk call makes 10,000 short-lived dictionaries and no cycle: the default of 700 collects it 15 times over.
    gc.set_threshold(100_000, 20, 20)
    uvloop.run(MittoStandIn(**Settings().model_dump()).run())
