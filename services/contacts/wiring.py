"""What the contacts service is made of."""

import asyncio

from astronote.accounts.v1 import accounts_pb2
from astronote.campaigns.v1 import privacy_pb2 as campaigns_privacy
from astronote.campaigns.v1.events_pb2 import LinkOpened, OfferRedeemed
from astronote.contacts.v1 import consents_pb2_grpc, forms_pb2_grpc, lists_pb2_grpc, privacy_pb2_grpc, segments_pb2_grpc
from astronote.contacts.v1 import contacts_pb2_grpc as rpc
from astronote.contacts.v1.operations_pb2_grpc import add_ConsentOperationsServiceServicer_to_server
from astronote.sender.v1 import privacy_pb2 as sender_privacy
from astronote.sender.v1.events_pb2 import MessageOutcomes
from kit.app import App, Job, Parts
from kit.inbox import Consumer
from ops.served import with_dead_letters
from services.contacts.confirming import Confirming, SignUpRetention
from services.contacts.consumers import Consumers
from services.contacts.countries import Countries
from services.contacts.erasing import Erasing, RejectRetention
from services.contacts.folding import Folding
from services.contacts.importing import Importing, Sweeping
from services.contacts.linking import Linking
from services.contacts.rehashing import Rehashing
from services.contacts.selecting import Selections
from services.contacts.servicers.audiences import Audiences
from services.contacts.servicers.consents import Consents
from services.contacts.servicers.contacts import Contacts
from services.contacts.servicers.forms import Forms
from services.contacts.servicers.imports import Imports
from services.contacts.servicers.lists import Lists
from services.contacts.servicers.operations import Operations
from services.contacts.servicers.privacy import Privacy
from services.contacts.servicers.segments import Segments
from services.contacts.servicers.sign_ups import SignUps
from services.contacts.settings import Settings
from services.contacts.suppression import PhoneHash


@with_dead_letters
def parts(app: App[Settings]) -> Parts:
    countries = Countries(app.peer(accounts_pb2.DESCRIPTOR))
    hashed = PhoneHash(app.settings.suppression_key.get_secret_value())
    selections = Selections(app.database, countries)
    stored = asyncio.Event()
    importing = Importing(app.database, countries, hashed)
    erased, asked = asyncio.Event(), asyncio.Event()
    base_url = app.settings.public_base_url
    sender, campaigns = app.peer(sender_privacy.DESCRIPTOR), app.peer(campaigns_privacy.DESCRIPTOR)
    erasing = Erasing(app.database, sender, campaigns, app.settings.erasure_pause_seconds)
    consumers = Consumers(app.database)
    privacy = Privacy(app.database, hashed, sender, campaigns, erased)
    return Parts(
        servicers={
            rpc.add_ContactsServiceServicer_to_server: Contacts(app.database, countries, hashed),
            rpc.add_ImportsServiceServicer_to_server: Imports(app.database, importing, hashed, stored),
            rpc.add_AudiencesServiceServicer_to_server: Audiences(app.database, selections, hashed),
            lists_pb2_grpc.add_ListsServiceServicer_to_server: Lists(app.database),
            segments_pb2_grpc.add_SegmentsServiceServicer_to_server: Segments(app.database, selections),
            forms_pb2_grpc.add_FormsServiceServicer_to_server: Forms(app.database, base_url),
            forms_pb2_grpc.add_SignUpsServiceServicer_to_server: SignUps(app.database, countries, hashed, asked),
            privacy_pb2_grpc.add_PrivacyServiceServicer_to_server: privacy,
            consents_pb2_grpc.add_ConsentsServiceServicer_to_server: Consents(app.database, hashed),
            add_ConsentOperationsServiceServicer_to_server: Operations(app.database, hashed),
        },
        consumers=[
            Consumer(MessageOutcomes, consumers.on_outcomes),
            Consumer(LinkOpened, consumers.on_link_opened),
            Consumer(OfferRedeemed, consumers.on_offer_redeemed),
        ],
        jobs=[
            Job("confirmations", Confirming(app.database, sender, base_url).step, 2.0, asked),
            Job("old sign-ups", SignUpRetention(app.database).step, 3600.0),
            Job("erasures", erasing.step, 2.0, erased),
            Job("old rejects", RejectRetention(app.database, app.settings.reject_retention_seconds).step, 3600.0),
            Job("suppression keys", Rehashing(app.database, hashed).step, 600.0),
            Job("links of consents", Linking(app.database).step, 1.0),
            Job("activity", Folding(app.database).step, 1.0),
            Job("imports", importing.step, 2.0, stored),
            Job("stale uploads", Sweeping(app.database).step, 600.0),
        ],
    )
