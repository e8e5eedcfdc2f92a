"""`python -m services.sender` runs the sender."""

from kit.app import Service
from services.sender.settings import Settings
from services.sender.store import SenderStore
from services.sender.wiring import parts

SERVICE = Service("sender", Settings, SenderStore, parts)

if __name__ == "__main__":
    SERVICE.run()
