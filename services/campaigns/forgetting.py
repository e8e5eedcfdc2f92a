"""Campaigns that ended long ago: who was texted what is forgotten, and so their links lead nowhere. Counts stay."""

from kit.store import Database
from services.campaigns.store import CampaignStore

BATCHES_A_ROUND = 100


class ReaderRetention:
    def __init__(self, database: Database, seconds: float) -> None:
        """0 seconds: for ever."""
        self._database, self._seconds = database, seconds

    async def step(self) -> bool:
        if not self._seconds:
            return False
        async with CampaignStore.open_pipeline(self._database) as store:
            return await store.forget_readers(self._seconds, BATCHES_A_ROUND)
