"""How the parts of the wallet are put together."""

from astronote.accounts.v1 import accounts_pb2
from astronote.accounts.v1.events_pb2 import MerchantRegistered
from astronote.wallet.v1.catalogue_pb2_grpc import (
    add_CatalogueServiceServicer_to_server,
    add_PricesServiceServicer_to_server,
)
from astronote.wallet.v1.guards_pb2_grpc import add_SpendingServiceServicer_to_server
from astronote.wallet.v1.promotions_pb2_grpc import add_PromotionsServiceServicer_to_server
from astronote.wallet.v1.wallet_pb2_grpc import add_WalletServiceServicer_to_server
from kit.app import App, Job, Parts
from kit.bus import Consumer
from services.wallet import expiry
from services.wallet.audit import recount
from services.wallet.consumers import Consumers
from services.wallet.expiry import Expiry
from services.wallet.merchants import Merchants
from services.wallet.servicers.catalogue import Catalogues
from services.wallet.servicers.prices import Prices
from services.wallet.servicers.promotions import Promotions
from services.wallet.servicers.spending import Spending
from services.wallet.servicers.wallets import Wallets
from services.wallet.settings import Settings
from services.wallet.welcome import Welcome


def parts(app: App[Settings]) -> Parts:
    welcome = Welcome(app.settings.welcome_credits, app.settings.welcome_plan)
    consumers = Consumers(app.database, welcome)
    merchants = Merchants(app.peer(accounts_pb2.DESCRIPTOR))
    return Parts(
        servicers={
            add_WalletServiceServicer_to_server: Wallets(app.database, welcome),
            add_PricesServiceServicer_to_server: Prices(app.database, merchants),
            add_CatalogueServiceServicer_to_server: Catalogues(app.database),
            add_SpendingServiceServicer_to_server: Spending(app.database, merchants),
            add_PromotionsServiceServicer_to_server: Promotions(app.database),
        },
        consumers=[Consumer(MerchantRegistered, consumers.on_registered, concurrency=4)],
        jobs=[recount(app), Job("expire", Expiry(app.database).step, expiry.INTERVAL_SECONDS)],
    )
