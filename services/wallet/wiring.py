"""How the parts of the wallet are put together."""

import asyncio
from datetime import timedelta

from astronote.accounts.v1 import accounts_pb2
from astronote.accounts.v1.events_pb2 import MerchantRegistered
from astronote.wallet.v1.billing_pb2_grpc import (
    add_BillingServiceServicer_to_server,
    add_StripeEventsServiceServicer_to_server,
)
from astronote.wallet.v1.catalogue_pb2_grpc import (
    add_CatalogueServiceServicer_to_server,
    add_PricesServiceServicer_to_server,
)
from astronote.wallet.v1.guards_pb2_grpc import add_SpendingServiceServicer_to_server
from astronote.wallet.v1.operations_pb2_grpc import add_LedgerOperationsServiceServicer_to_server
from astronote.wallet.v1.promotions_pb2_grpc import add_PromotionsServiceServicer_to_server
from astronote.wallet.v1.statements_pb2_grpc import add_StatementsServiceServicer_to_server
from astronote.wallet.v1.wallet_pb2_grpc import add_WalletServiceServicer_to_server
from kit.app import App, Job, Parts
from kit.inbox import Consumer
from ops.served import with_dead_letters
from services.wallet import expiry, topping_up
from services.wallet.audit import recount
from services.wallet.bookkeeping import Bookkeeper
from services.wallet.consumers import Consumers
from services.wallet.entitlement import Terms
from services.wallet.expiry import Expiry
from services.wallet.looking import Looks
from services.wallet.merchants import Merchants
from services.wallet.repair import Repair
from services.wallet.servicers.billing import Billing
from services.wallet.servicers.catalogue import Catalogues
from services.wallet.servicers.operations import Operations
from services.wallet.servicers.prices import Prices
from services.wallet.servicers.promotions import Promotions
from services.wallet.servicers.spending import Spending
from services.wallet.servicers.statements import Statements
from services.wallet.servicers.stripe_events import StripeEvents
from services.wallet.servicers.wallets import Wallets
from services.wallet.settings import Settings
from services.wallet.stripe import Stripe
from services.wallet.stripe_events import Handler
from services.wallet.topping_up import TopUps
from services.wallet.welcome import Welcome


@with_dead_letters
def parts(app: App[Settings]) -> Parts:
    settings, database, received = app.settings, app.database, asyncio.Event()
    welcome = Welcome(settings.welcome_credits, settings.welcome_plan)
    consumers = Consumers(database, welcome)
    merchants = Merchants(app.peer(accounts_pb2.DESCRIPTOR))
    stripe = Stripe(settings.stripe_secret_key.get_secret_value(), settings.stripe_api_base)
    secrets = [part.strip() for part in settings.stripe_webhook_secret.get_secret_value().split(",")]
    looks, books = Looks(stripe), Bookkeeper(database, welcome)
    terms = Terms(timedelta(days=settings.payment_grace_days))
    repair = Repair(database, stripe, received)
    return Parts(
        servicers={
            add_LedgerOperationsServiceServicer_to_server: Operations(app.database),
            add_WalletServiceServicer_to_server: Wallets(database, welcome, terms),
            add_PricesServiceServicer_to_server: Prices(database, merchants, terms),
            add_CatalogueServiceServicer_to_server: Catalogues(database),
            add_SpendingServiceServicer_to_server: Spending(database, merchants),
            add_StatementsServiceServicer_to_server: Statements(database, merchants),
            add_PromotionsServiceServicer_to_server: Promotions(database),
            add_BillingServiceServicer_to_server: Billing(database, merchants, stripe, looks, books, terms),
            add_StripeEventsServiceServicer_to_server: StripeEvents(database, secrets, repair, received),
        },
        consumers=[Consumer(MerchantRegistered, consumers.on_registered, concurrency=4)],
        jobs=[
            recount(app),
            Job("top up", TopUps(database, merchants, stripe, looks, books).step, topping_up.INTERVAL_SECONDS),
            Job("expire", Expiry(database).step, expiry.INTERVAL_SECONDS),
            *Handler(database, looks, books).jobs(received),
            repair.job(),
        ],
        closers=[stripe.close],
    )
