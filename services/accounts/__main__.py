"""`python -m services.accounts` runs the accounts service."""

from kit.app import Service
from services.accounts.settings import Settings
from services.accounts.store import AccountStore
from services.accounts.wiring import parts

SERVICE = Service("accounts", Settings, AccountStore, parts)

if __name__ == "__main__":
    SERVICE.run()
