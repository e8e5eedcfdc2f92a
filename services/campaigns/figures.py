"""What is on the road, counted now and then for whoever watches: every replica says the same."""

from prometheus_client import Gauge

from kit.store import Database
from services.campaigns.store import CampaignStore

INTERVAL_SECONDS = 15.0
CAMPAIGNS = Gauge("campaigns_open", "Campaigns whose report is not final, by state.", ["state"])
BATCHES = Gauge("batches_open", "Batches of campaigns that are sending, by state.", ["state"])
RECIPIENTS = Gauge("recipients_open", "Recipients in these batches, by state.", ["state"])
GENERATION = Gauge("batch_generation_max", "How often the batch was published that was published most often of these.")


class Figures:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def step(self) -> bool:
        async with CampaignStore.open_pipeline(self._database) as store:
            campaigns, batches = await store.open_campaigns(), await store.open_batches()
        # A state that nothing is in any more has no row.
        for gauge in (CAMPAIGNS, BATCHES, RECIPIENTS):
            gauge.clear()
        for state, count in campaigns.items():
            CAMPAIGNS.labels(state).set(count)
        for row in batches:
            BATCHES.labels(row.state).set(row.batches)
            RECIPIENTS.labels(row.state).set(row.recipients)
        GENERATION.set(max((row.generation for row in batches), default=0))
        return False
