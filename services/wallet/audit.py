"""Counts the whole ledger again, now and then, against the balances that are kept beside it: one replica at a time."""

from dataclasses import dataclass

import structlog
from prometheus_client import Gauge

from kit.app import App, Job
from kit.store import Database
from services.wallet.settings import Settings
from services.wallet.store import WalletStore

DISCREPANCIES = Gauge(
    "ledger_discrepancies", "Wallets, journals and holds that the ledger's entries contradict. Must be zero."
)
log = structlog.get_logger()


def recount(app: App[Settings]) -> Job:
    return Job("recount", Recount(app.database).step, app.settings.recount_interval_seconds)


@dataclass(frozen=True)
class Recount:
    database: Database

    async def step(self) -> bool:
        async with WalletStore.open_pipeline(self.database) as store:
            if not await store.may_recount():
                return False
            discrepancies = await store.discrepancies()
        DISCREPANCIES.set(discrepancies)
        if discrepancies:
            log.error("ledger", discrepancies=discrepancies)
        return False
