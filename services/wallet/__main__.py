"""`python -m services.wallet` runs the wallet service."""

from kit.app import Service
from services.wallet.settings import Settings
from services.wallet.store import WalletStore
from services.wallet.wiring import parts

SERVICE = Service("wallet", Settings, WalletStore, parts)

if __name__ == "__main__":
    SERVICE.run()
