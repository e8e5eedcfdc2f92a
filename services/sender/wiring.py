"""How the parts of the sender are put together."""

import asyncio

from astronote.campaigns.v1 import campaigns_pb2
from astronote.contacts.v1 import contacts_pb2
from astronote.sender.v1 import sender_pb2_grpc as rpc
from astronote.sender.v1.batches_pb2 import SendBatch
from astronote.wallet.v1 import wallet_pb2
from kit.app import App, Job, Parts
from kit.bus import Consumer
from services.sender.delivery import Applier, Expirer, Settler
from services.sender.providers.mitto import Mitto
from services.sender.servicer import Messages, Reports, Tallies
from services.sender.settings import Settings
from services.sender.submission import Gatekeepers, Submitter

LANE = "bulk"


def parts(app: App[Settings]) -> Parts:
    settings, database = app.settings, app.database
    campaigns, contacts, wallet = (app.peer(each.DESCRIPTOR) for each in (campaigns_pb2, contacts_pb2, wallet_pb2))
    received, settle = asyncio.Event(), asyncio.Event()
    mitto = Mitto(
        settings.mitto_api_base,
        settings.mitto_api_key.get_secret_value(),
        settings.mitto_traffic_account_id,
        settings.provider_timeout_seconds,
    )
    submitter = Submitter(database, Gatekeepers(campaigns, contacts), mitto, settings, settle)
    applier = Applier(database, settings.validity_seconds)
    secrets = settings.webhook_secret.get_secret_value().split(",")
    return Parts(
        servicers={
            rpc.add_MessagesServiceServicer_to_server: Messages(database),
            rpc.add_TalliesServiceServicer_to_server: Tallies(database),
            rpc.add_ReportsServiceServicer_to_server: Reports(database, secrets, received),
        },
        consumers=[Consumer(SendBatch, submitter.on_batch, settings.concurrency, LANE)],
        jobs=[
            Job("apply reports", applier.step, 1.0, received),
            Job("apply parked reports", applier.parked_step, 0.3),
            Job("expire", Expirer(database, settings.validity_seconds).step, 10.0),
            Job("settle", Settler(database, wallet).step, 1.0, settle),
        ],
        closers=[mitto.close],
    )
