"""`python -m services.wallet` runs the wallet service."""

from astronote.wallet.v1.wallet_pb2_grpc import add_WalletServiceServicer_to_server
from kit.app import App, Parts, Service
from services.wallet.audit import recount
from services.wallet.consumers import registrations
from services.wallet.servicer import Wallets
from services.wallet.settings import Settings
from services.wallet.store import WalletStore


def parts(app: App[Settings]) -> Parts:
    return Parts({add_WalletServiceServicer_to_server: Wallets(app.database)}, [registrations(app)], [recount(app)])


SERVICE = Service("wallet", Settings, WalletStore, parts)

if __name__ == "__main__":
    SERVICE.run()
