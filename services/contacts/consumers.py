"""What contacts listens to: what became of the texts to people."""

from datetime import UTC
from uuid import UUID

from astronote.campaigns.v1.events_pb2 import LinkOpened, OfferRedeemed
from astronote.contacts.v1.audience_pb2 import ActivityCondition
from astronote.sender.v1.events_pb2 import MessageOutcomes
from kit.inbox import Delivery
from kit.store import Database
from services.contacts.store import ContactsStore

ID_BYTES = 16
KINDS = {
    MessageOutcomes.ACCEPTED: ActivityCondition.TEXTED,
    MessageOutcomes.DELIVERED: ActivityCondition.DELIVERED,
}


class Consumers:
    """Each event is only kept, in one row however many people it names: `Folding` does the rest in its time."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def on_outcomes(self, event: MessageOutcomes, delivery: Delivery) -> None:
        if event.kind not in KINDS or len(event.contact_ids) % ID_BYTES:
            return
        time = event.outcome_time.ToDatetime(tzinfo=UTC)
        async with ContactsStore.open_pipeline(self._database) as store:
            if await store.first_time(delivery.key):
                await store.keep_activity(event.merchant_id, KINDS[event.kind], time, event.contact_ids)

    async def on_link_opened(self, event: LinkOpened, delivery: Delivery) -> None:
        if event.kind == LinkOpened.UNSUBSCRIBE or event.by_machine or not event.contact_id:
            return
        time, contact_id = event.open_time.ToDatetime(tzinfo=UTC), UUID(event.contact_id).bytes
        async with ContactsStore.open_pipeline(self._database) as store:
            if await store.first_time(delivery.key):
                await store.keep_activity(event.merchant_id, ActivityCondition.CLICKED, time, contact_id)

    async def on_offer_redeemed(self, event: OfferRedeemed, delivery: Delivery) -> None:
        if not event.contact_id:
            return
        time, contact_id = event.redeem_time.ToDatetime(tzinfo=UTC), UUID(event.contact_id).bytes
        async with ContactsStore.open_pipeline(self._database) as store:
            if await store.first_time(delivery.key):
                await store.keep_activity(event.merchant_id, ActivityCondition.REDEEMED, time, contact_id)
