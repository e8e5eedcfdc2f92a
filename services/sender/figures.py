"""What waits, counted now and then for whoever watches: every replica says the same."""

from prometheus_client import Gauge

from kit.store import Database
from services.sender.store import SenderStore

INTERVAL_SECONDS = 15.0
UNKNOWN = Gauge("messages_unknown", "Messages of attempts whose outcome can't be known yet.")
UNKNOWN_SECONDS = Gauge("messages_unknown_oldest_seconds", "How long the oldest of these has been unknown.")
SETTLEMENTS = Gauge("settlements_waiting", "Settlements that the wallet was not told of yet.")
BODIES = Gauge("webhooks_waiting", "Bodies that were posted and are not applied yet.")
BODIES_SECONDS = Gauge("webhooks_waiting_oldest_seconds", "How long the oldest of these has waited.")
GAUGES = (UNKNOWN, UNKNOWN_SECONDS, SETTLEMENTS, BODIES, BODIES_SECONDS)


class Figures:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def step(self) -> bool:
        async with SenderStore.open_pipeline(self._database) as store:
            figures = await store.figures()
        for gauge, figure in zip(GAUGES, figures, strict=True):
            gauge.set(figure)
        return False
