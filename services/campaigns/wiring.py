"""How the parts of campaigns are put together."""

import asyncio
from base64 import urlsafe_b64decode

from astronote.accounts.v1 import accounts_pb2
from astronote.campaigns.v1 import campaigns_pb2_grpc as rpc
from astronote.campaigns.v1.automations_pb2_grpc import add_AutomationsServiceServicer_to_server
from astronote.campaigns.v1.events_pb2 import OfferRedeemed
from astronote.campaigns.v1.experiments_pb2_grpc import add_ExperimentsServiceServicer_to_server
from astronote.campaigns.v1.links_pb2_grpc import add_ShortLinksServiceServicer_to_server
from astronote.campaigns.v1.offers_pb2_grpc import add_OffersServiceServicer_to_server
from astronote.campaigns.v1.operations_pb2_grpc import add_BatchOperationsServiceServicer_to_server
from astronote.campaigns.v1.privacy_pb2_grpc import add_PrivacyServiceServicer_to_server
from astronote.campaigns.v1.reports_pb2_grpc import add_ResultsServiceServicer_to_server
from astronote.contacts.v1 import contacts_pb2
from astronote.contacts.v1.events_pb2 import ContactCreated, ListJoined, TagAdded
from astronote.operations.v1.restore_pb2_grpc import add_RestoreServiceServicer_to_server
from astronote.sender.v1 import sender_pb2
from astronote.sender.v1.events_pb2 import BatchFinished, CampaignTally
from astronote.wallet.v1 import wallet_pb2
from kit.app import App, Job, Parts
from kit.inbox import Consumer
from ops.served import with_dead_letters
from services.campaigns.automation_texts import AutomationTexts
from services.campaigns.closing import Closer, Inquirer
from services.campaigns.codes import Codes
from services.campaigns.consumers import Consumers
from services.campaigns.dispatch import Dispatcher
from services.campaigns.enrolling import Days, Events
from services.campaigns.figures import INTERVAL_SECONDS, Figures
from services.campaigns.forgetting import ReaderRetention
from services.campaigns.guarding import Brake, OfferEnds
from services.campaigns.history import Historian
from services.campaigns.merchants import Merchants
from services.campaigns.preparation import Audiences, Preparer
from services.campaigns.recipients import Outcomes
from services.campaigns.scheduling import Scheduler
from services.campaigns.servicers.automations import Automations
from services.campaigns.servicers.batches import Batches
from services.campaigns.servicers.campaigns import Campaigns
from services.campaigns.servicers.experiments import Experiments
from services.campaigns.servicers.links import Links
from services.campaigns.servicers.offers import Offers
from services.campaigns.servicers.operations import Operations
from services.campaigns.servicers.privacy import Privacy
from services.campaigns.servicers.restoring import Restoring
from services.campaigns.servicers.results import Results
from services.campaigns.servicers.templates import Templates
from services.campaigns.settings import Settings
from services.campaigns.starting import Starter

# A million is prepared beside ten, not before.
PREPARERS = 2
# Contacts are made by the hundred in a second, and each is a trigger. One may name five thousand people.
TRIGGERS_TOGETHER_MAX = 50


@with_dead_letters
def parts(app: App[Settings]) -> Parts:
    settings, database = app.settings, app.database
    contacts, wallet, sender = (app.peer(each.DESCRIPTOR) for each in (contacts_pb2, wallet_pb2, sender_pb2))
    audiences, merchants = Audiences(contacts), Merchants(app.peer(accounts_pb2.DESCRIPTOR))
    codes = Codes(urlsafe_b64decode(settings.link_key.get_secret_value() + "="))
    started, due, ended, triggered = asyncio.Event(), asyncio.Event(), asyncio.Event(), asyncio.Event()
    base_url, size = settings.public_base_url, settings.batch_size
    starter = Starter(merchants, audiences, wallet, base_url)
    scheduler = Scheduler(database, starter, settings.start_late_seconds_max, started)
    preparer = Preparer(database, audiences, wallet, codes, size, settings.start_late_seconds_max, due)
    dispatcher = Dispatcher(database, app.bus, settings.batches_ahead, settings.republish_after_seconds)
    inquirer = Inquirer(database, sender, settings.silence_seconds, due)
    links = Links(database, contacts, codes)
    consumers, events = Consumers(database, due, ended), Events(database, triggered)
    texts = AutomationTexts(database, merchants, audiences, wallet, codes, base_url, started)
    campaigns = Campaigns(database, merchants, audiences, starter, codes, base_url, size, started, due, app.leaving)
    return Parts(
        servicers={
            rpc.add_TemplatesServiceServicer_to_server: Templates(database, merchants, base_url),
            rpc.add_CampaignsServiceServicer_to_server: campaigns,
            rpc.add_BatchesServiceServicer_to_server: Batches(database),
            rpc.add_LinksServiceServicer_to_server: links,
            add_ShortLinksServiceServicer_to_server: links,
            add_AutomationsServiceServicer_to_server: Automations(database, merchants, audiences),
            add_OffersServiceServicer_to_server: Offers(database, codes),
            add_PrivacyServiceServicer_to_server: Privacy(database),
            add_ExperimentsServiceServicer_to_server: Experiments(database),
            add_ResultsServiceServicer_to_server: Results(database, merchants, Outcomes(sender, contacts)),
            add_BatchOperationsServiceServicer_to_server: Operations(database),
            add_RestoreServiceServicer_to_server: Restoring(database),
        },
        consumers=[
            Consumer(CampaignTally, consumers.on_tally),
            Consumer(BatchFinished, consumers.on_batch_finished),
            Consumer(ContactCreated, events.on_contacts_created, together_max=TRIGGERS_TOGETHER_MAX),
            Consumer(ListJoined, events.on_lists_joined, together_max=TRIGGERS_TOGETHER_MAX),
            Consumer(TagAdded, events.on_tags_added, together_max=TRIGGERS_TOGETHER_MAX),
            Consumer(OfferRedeemed, events.on_offers_redeemed, together_max=TRIGGERS_TOGETHER_MAX),
        ],
        jobs=[
            Job("schedule", scheduler.step, 1.0),
            *(Job(f"prepare {number}", preparer.step, 2.0, started) for number in range(PREPARERS)),
            Job("hold", preparer.hold_step, 2.0, started),
            Job("dispatch", dispatcher.step, 1.0, due),
            Job("automation days", Days(database, merchants, audiences, triggered).step, 1.0),
            Job("automation texts", texts.step, 1.0, triggered),
            Job("end offers", OfferEnds(database).step, 1.0),
            Job("brake", Brake(database, settings).step, 2.0),
            Job("sweep", dispatcher.sweep_step, 2.0),
            Job("close", Closer(database, wallet).step, 1.0, ended),
            Job("fold responses", Historian(database).step, 1.0),
            Job("figures", Figures(database).step, INTERVAL_SECONDS),
            Job("inquire", inquirer.step, 2.0),
            Job("forget readers", ReaderRetention(database, settings.reader_retention_seconds).step, 3600.0),
        ],
    )
