"""`python -m services.accounts` runs the accounts service."""

from astronote.accounts.v1.accounts_pb2_grpc import add_AuthServiceServicer_to_server as add_auth
from astronote.accounts.v1.accounts_pb2_grpc import add_MerchantsServiceServicer_to_server as add_merchants
from kit.app import App, Parts, Service
from services.accounts.auth import Auth
from services.accounts.expiry import expiry
from services.accounts.merchants import Merchants
from services.accounts.settings import Settings
from services.accounts.store import AccountStore


def parts(app: App[Settings]) -> Parts:
    return Parts({add_auth: Auth(app), add_merchants: Merchants(app.database)}, jobs=[expiry(app)])


SERVICE = Service("accounts", Settings, AccountStore, parts)

if __name__ == "__main__":
    SERVICE.run()
