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
RECOUNTED = Gauge("ledger_recount_time_seconds", "When this replica has last counted the whole ledger, as Unix time.")
BALANCES = Gauge("wallet_credits", "Credits of all merchants together, by balance.", ["balance"])
HOLDS = Gauge("wallet_holds_open", "Holds that are not closed.")
HOLDS_SECONDS = Gauge("wallet_hold_oldest_seconds", "How long the oldest of these has been open.")
TOP_UP_SECONDS = Gauge(
    "wallet_top_up_oldest_seconds", "How long the oldest automatic purchase has been open whose end nobody knows."
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
            balances, (holds, oldest_seconds) = await store.balances(), await store.open_holds()
            top_up_seconds = await store.oldest_top_up_seconds()
        DISCREPANCIES.set(discrepancies)
        RECOUNTED.set_to_current_time()
        for balance, credits in balances.items():
            BALANCES.labels(balance).set(credits)
        HOLDS.set(holds)
        HOLDS_SECONDS.set(oldest_seconds)
        TOP_UP_SECONDS.set(top_up_seconds)
        if discrepancies:
            log.error("ledger", discrepancies=discrepancies)
        return False
