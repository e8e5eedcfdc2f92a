"""The parts of accounts, put together."""

from astronote.accounts.v1.accounts_pb2_grpc import (
    add_ApiKeysServiceServicer_to_server,
    add_AuthServiceServicer_to_server,
    add_MerchantsServiceServicer_to_server,
)
from astronote.accounts.v1.operations_pb2_grpc import add_AccountOperationsServiceServicer_to_server
from kit.app import App, Parts
from services.accounts.api_keys import ApiKeys
from services.accounts.auth import Auth
from services.accounts.expiry import expiry
from services.accounts.merchants import Merchants
from services.accounts.operations import Operations
from services.accounts.rotation import SigningKeys
from services.accounts.settings import Settings


def parts(app: App[Settings]) -> Parts:
    keys = SigningKeys(app.database, app.settings)
    return Parts(
        {
            add_AuthServiceServicer_to_server: Auth(app, keys),
            add_MerchantsServiceServicer_to_server: Merchants(app.database),
            add_ApiKeysServiceServicer_to_server: ApiKeys(app.database),
            add_AccountOperationsServiceServicer_to_server: Operations(app.database, keys),
        },
        jobs=[expiry(app), keys.job()],
    )
