"""To whom the triggers of the automations happen: by events, and by days.

An event is noted with the contacts that it enrols in one transaction; a day is asked page by page, and asked anew where
somebody dies over it. Whoever is enrolled for an occasion is not enrolled for it again.
"""

import asyncio
import uuid
from collections.abc import Callable, Sequence
from contextlib import aclosing
from datetime import timedelta
from typing import TypeAlias, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

import grpc
import structlog

from astronote.campaigns.v1.automations_pb2 import Automation, Trigger
from astronote.campaigns.v1.events_pb2 import OfferRedeemed
from astronote.contacts.v1.events_pb2 import ContactCreated, ListJoined, TagAdded
from kit.inbox import Delivery
from kit.rows import AnyRow
from kit.store import Database
from services.campaigns import automations
from services.campaigns.merchants import Merchants
from services.campaigns.preparation import Audiences
from services.campaigns.store import CampaignStore
from services.campaigns.store.audiences import LeaseLostError
from services.campaigns.store.enrolments import Happening

ID_BYTES = 16
PAGE_SIZE = 5000
LEASE_SECONDS = 60
# A greeting that would come later than that is not sent on that day.
LATE_MAX = timedelta(hours=12)
Said = TypeVar("Said", ContactCreated, ListJoined, TagAdded, OfferRedeemed)
Taken: TypeAlias = Sequence[tuple[Said, Delivery]]
log = structlog.get_logger()


class Events:
    """Each handles what happened together in one transaction. `due` is set when a text may be due."""

    def __init__(self, database: Database, due: asyncio.Event) -> None:
        self._database, self._due = database, due

    async def on_contacts_created(self, taken: Taken[ContactCreated]) -> None:
        await self._happened(Trigger.CONTACT_CREATED, taken, lambda event: ("", [event.contact_id]))

    async def on_lists_joined(self, taken: Taken[ListJoined]) -> None:
        await self._happened(Trigger.LIST_JOINED, taken, lambda event: (event.list_id, _ids(event.contact_ids)))

    async def on_tags_added(self, taken: Taken[TagAdded]) -> None:
        await self._happened(Trigger.TAG_ADDED, taken, lambda event: (event.tag, _ids(event.contact_ids)))

    async def on_offers_redeemed(self, taken: Taken[OfferRedeemed]) -> None:
        await self._happened(Trigger.OFFER_REDEEMED, taken, lambda event: ("", list(filter(None, [event.contact_id]))))

    async def _happened(
        self, event: Trigger.Event.ValueType, taken: Taken[Said], read: Callable[[Said], tuple[str, list[str]]]
    ) -> None:
        """`read`: the subject and the contacts of what was said."""
        happened = [Happening(said.merchant_id, *read(said), delivery.key) for said, delivery in taken]
        async with CampaignStore.open_pipeline(self._database) as store:
            # Nobody is enrolled twice by one event, so it needs no place in the inbox: where no automation waits for
            # it, as is the rule, nothing is written.
            enrolled = await store.enrol(event, happened)
        if enrolled:
            self._due.set()


class Days:
    """A step asks one daily automation on its day."""

    def __init__(self, database: Database, merchants: Merchants, audiences: Audiences, due: asyncio.Event) -> None:
        self._database, self._merchants, self._audiences, self._due = database, merchants, audiences, due

    async def step(self) -> bool:
        async with CampaignStore.open_pipeline(self._database) as store:
            run = await store.take_run(str(uuid.uuid4()), LEASE_SECONDS)
        if run is None:
            return False
        zone = ZoneInfo((await self._merchants.get(run.merchant_id)).time_zone)
        oldest = run.now - LATE_MAX
        try:
            if run.run_time >= oldest:
                await self._enrol(run, zone)
            async with CampaignStore.open_pipeline(self._database) as store:
                await store.finish_run(run, automations.next_run(run.daily_time, zone, max(run.run_time, oldest)))
        except LeaseLostError:
            log.info("day given up", automation_id=run.id)
        self._due.set()
        return True

    async def _enrol(self, run: AnyRow, zone: ZoneInfo) -> None:
        """As of the time at which it was to be asked. Raises `LeaseLostError`."""
        occasion = str(run.run_time.astimezone(zone).year) if run.repeat == Automation.YEARLY else ""
        due_time = run.run_time + timedelta(minutes=run.delay_minutes)
        audience = automations.audience(run.conditions)
        pages = self._audiences.pages(run.merchant_id, audience, (), PAGE_SIZE, at_time=run.run_time)
        try:
            async with aclosing(pages):
                async for page in pages:
                    contact_ids = [str(UUID(bytes=member.contact_id)) for member in page.members]
                    async with CampaignStore.open_pipeline(self._database) as store:
                        await store.keep_run(run, LEASE_SECONDS)
                        await store.enrol_page(run, contact_ids, occasion, due_time)
        except grpc.aio.AioRpcError as error:
            # Its list is gone, say: that will be no better a minute later.
            if error.code() not in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND):
                raise
            log.warning("day without an audience", automation_id=run.id, error=error.details())


def _ids(packed: bytes) -> list[str]:
    return [str(UUID(bytes=packed[at : at + ID_BYTES])) for at in range(0, len(packed), ID_BYTES)]
