"""Forgets sessions and failed logins that are over, so that the tables are as long as they mean something."""

from dataclasses import dataclass
from datetime import UTC, datetime

from kit.app import App, Job
from kit.store import Database
from services.accounts.settings import Settings
from services.accounts.store import AccountStore

INTERVAL_SECONDS = 3600


def expiry(app: App[Settings]) -> Job:
    return Job("expiry", Expiry(app.database).step, INTERVAL_SECONDS)


@dataclass(frozen=True)
class Expiry:
    database: Database

    async def step(self) -> bool:
        now = datetime.now(UTC)
        async with AccountStore.open_pipeline(self.database) as store:
            found = await store.delete_expired_sessions(now)
            return found + await store.delete_expired_login_counts(now) > 0
