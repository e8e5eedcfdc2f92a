"""What keeps a campaign from going on by itself when it ought not to: an offer that has ended, and too many failures or
opt-outs.
"""

import structlog
from prometheus_client import Counter

from kit.store import Database
from services.campaigns.settings import Settings
from services.campaigns.store import CampaignStore

ROUND_SIZE = 20
PAUSED = Counter("campaigns_paused", "Campaigns that paused by themselves, by reason.", ["reason"])
log = structlog.get_logger()


class OfferEnds:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def step(self) -> bool:
        async with CampaignStore.open_pipeline(self._database) as store:
            return await store.end_offers(ROUND_SIZE) == ROUND_SIZE


class Brake:
    def __init__(self, database: Database, settings: Settings) -> None:
        self._database, self._settings = database, settings

    async def step(self) -> bool:
        chosen = self._settings
        async with CampaignStore.open_pipeline(self._database) as store:
            paused = await store.pause_spiking(
                chosen.pause_texts_min, chosen.pause_failure_share, chosen.pause_opt_out_share
            )
        for row in paused:
            PAUSED.labels(row.failure).inc()
            log.warning("campaign paused", campaign_id=row.id, reason=row.failure)
        return False
