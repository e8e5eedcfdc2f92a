"""How the parts of the sender are put together."""

import asyncio

from astronote.accounts.v1 import accounts_pb2
from astronote.campaigns.v1 import campaigns_pb2
from astronote.campaigns.v1.events_pb2 import LinkOpened
from astronote.contacts.v1 import contacts_pb2
from astronote.operations.v1.restore_pb2_grpc import add_RestoreServiceServicer_to_server
from astronote.sender.v1 import inbound_pb2_grpc as inbound_rpc
from astronote.sender.v1 import privacy_pb2_grpc
from astronote.sender.v1 import sender_pb2_grpc as rpc
from astronote.sender.v1.batches_pb2 import SendBatch
from astronote.sender.v1.operations_pb2_grpc import add_RouteOperationsServiceServicer_to_server
from astronote.wallet.v1 import wallet_pb2
from kit.app import App, Job, Parts
from kit.inbox import Consumer
from ops.served import with_dead_letters
from services.sender.admission import BULK, SINGLE, Admissions
from services.sender.audit import Recount, TextRetention, WebhookRetention
from services.sender.consumers import Consumers
from services.sender.delivery import GATHER_SECONDS, PARKED_SECONDS, Applier, Expirer, Settler
from services.sender.evidence import Detective
from services.sender.figures import INTERVAL_SECONDS, Figures
from services.sender.help import Answers
from services.sender.listening import Listener, Obedience
from services.sender.operations import Operations, Restoring
from services.sender.privacy import Privacy
from services.sender.providers.mitto import Mitto
from services.sender.replay import Replayer
from services.sender.servicer import Inbound, Messages, Outcomes, Reports, Tallies
from services.sender.settings import Settings
from services.sender.singles import Merchants, Singles
from services.sender.submission import Gatekeepers, Submitter
from services.sender.webhooks import Proof


@with_dead_letters
def parts(app: App[Settings]) -> Parts:
    settings, database = app.settings, app.database
    campaigns, contacts, wallet = (app.peer(each.DESCRIPTOR) for each in (campaigns_pb2, contacts_pb2, wallet_pb2))
    received, settle = asyncio.Event(), asyncio.Event()
    posted, arrived, pending = asyncio.Event(), asyncio.Event(), asyncio.Event()
    mitto = Mitto(
        settings.mitto_api_base,
        settings.mitto_api_key.get_secret_value(),
        settings.mitto_traffic_account_id,
        settings.provider_timeout_seconds,
    )
    submitter = Submitter(
        database, Gatekeepers(campaigns, contacts), Admissions(database, settings), mitto, settings, settle
    )
    merchants = Merchants(app.peer(accounts_pb2.DESCRIPTOR))
    singles = Singles(database, app.bus, merchants, wallet, settings.single_sweep_seconds)
    unknown_seconds = settings.validity_seconds + settings.unknown_grace_seconds
    applier = Applier(database, unknown_seconds, settings.lookup_after_seconds)
    expirer = Expirer(database, settings.validity_seconds, settings.unknown_grace_seconds)
    proof = Proof([part.strip() for part in settings.webhook_secret.get_secret_value().split(",")])
    listener = Listener(database, arrived, pending)
    return Parts(
        servicers={
            rpc.add_MessagesServiceServicer_to_server: Messages(database, singles),
            privacy_pb2_grpc.add_PrivacyServiceServicer_to_server: Privacy(database),
            rpc.add_TalliesServiceServicer_to_server: Tallies(database),
            rpc.add_OutcomesServiceServicer_to_server: Outcomes(database),
            add_RouteOperationsServiceServicer_to_server: Operations(database, settings.mitto_traffic_account_id),
            add_RestoreServiceServicer_to_server: Restoring(database, settings.mitto_traffic_account_id),
            rpc.add_ReportsServiceServicer_to_server: Reports(database, proof, received, Replayer(database, applier)),
            inbound_rpc.add_InboundServiceServicer_to_server: Inbound(database, proof, posted, pending),
        },
        consumers=[
            Consumer(SendBatch, submitter.on_batch, settings.concurrency, BULK),
            Consumer(SendBatch, submitter.on_batch, settings.single_concurrency, SINGLE),
            Consumer(LinkOpened, Consumers(database, unknown_seconds, settle).on_link_opened, concurrency=4),
        ],
        jobs=[
            Job("single texts", singles.step, 1.0, singles.due),
            Job("apply reports", applier.step, 2.0, received, GATHER_SECONDS),
            Job("apply parked reports", applier.parked_step, 2.0, applier.parked, PARKED_SECONDS),
            Job("expire", expirer.step, min(10.0, settings.validity_seconds / 10)),
            Job("look up", Detective(database, mitto, campaigns, settings).step, 1.0),
            Job("recount", Recount(database).step, settings.recount_interval_seconds),
            Job("figures", Figures(database).step, INTERVAL_SECONDS),
            Job("drop webhooks", WebhookRetention(database, settings.webhook_retention_seconds).step, 3600.0),
            Job("forget texts", TextRetention(database, settings.text_retention_seconds).step, 3600.0),
            Job("read inbound", listener.step, 2.0, posted),
            Job("show inbound", listener.look_step, 2.0, arrived),
            Job("obey inbound", Obedience(database, contacts, Answers(merchants, singles)).step, 2.0, pending),
            Job("settle", Settler(database, wallet).step, 2.0, settle),
        ],
        closers=[mitto.close],
    )
