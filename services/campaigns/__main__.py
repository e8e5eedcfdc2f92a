"""`python -m services.campaigns` runs campaigns."""

from kit.app import Service
from services.campaigns.settings import Settings
from services.campaigns.store import CampaignStore
from services.campaigns.wiring import parts

SERVICE = Service("campaigns", Settings, CampaignStore, parts)

if __name__ == "__main__":
    SERVICE.run()
