"""The RPCs of the audiences: who may be texted, and who may not any more."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from astronote.contacts.v1 import contacts_pb2 as pb
from astronote.contacts.v1 import contacts_pb2_grpc as rpc
from astronote.contacts.v1.consents_pb2 import Consent
from kit import caller, rows
from kit.store import Database
from services.contacts import phones
from services.contacts.consent import SOURCE_LENGTH_MAX, Statement
from services.contacts.errors import (
    AudiencePageSizeInvalid,
    ContactInvalid,
    ContactNotFound,
    FieldUnknown,
    PhoneInvalid,
    TooManyPhones,
)
from services.contacts.fields import ATTRIBUTE_NAME_LENGTH_MAX, TOO_LONG
from services.contacts.rules import ATTRIBUTE
from services.contacts.search import CONTROL
from services.contacts.selecting import Selections
from services.contacts.servicers.lists import check_contacts
from services.contacts.store import ContactsStore
from services.contacts.store.audiences import MERGE_FIELDS
from services.contacts.suppression import MERCHANT, START, PhoneHash

PAGE_SIZE_MAX = 10_000
# A page that grows beyond this is sent as two; a message holds 16 MiB.
PAGE_BYTES_MAX = 8 * 1024 * 1024
PHONES_MAX = 10_000
FIELDS_MAX = 60
Context = Any


class Audiences(rpc.AudiencesServiceServicer):
    def __init__(self, database: Database, selections: Selections, hashed: PhoneHash) -> None:
        self._database, self._selections, self._hashed = database, selections, hashed

    async def CountAudience(self, request: pb.CountAudienceRequest, context: Context) -> pb.CountAudienceResponse:
        selection = await self._selections.of_audience(request.audience, caller.merchant_id(), datetime.now(UTC))
        async with ContactsStore.open(self._database, caller.merchant_id()) as store:
            answer = pb.CountAudienceResponse(count=await store.count_selected(selection))
            if request.count_opted_out:
                answer.opted_out = await store.count_opted_out(selection)
        return answer

    async def StreamAudience(
        self, request: pb.StreamAudienceRequest, context: Context
    ) -> AsyncIterator[pb.AudiencePage]:
        _check_fields(request.fields)
        if not 0 < request.page_size <= PAGE_SIZE_MAX:
            raise AudiencePageSizeInvalid(field="page_size", size_max=PAGE_SIZE_MAX)
        if request.after_phone and not phones.is_e164(request.after_phone):
            raise PhoneInvalid(field="after_phone")
        time = request.at_time.ToDatetime(tzinfo=UTC) if request.HasField("at_time") else datetime.now(UTC)
        selection = await self._selections.of_audience(request.audience, caller.merchant_id(), time)
        check_contacts(request.contact_ids)
        contact_ids = tuple(rows.uuid(each, ContactNotFound) for each in request.contact_ids)
        selection = replace(selection, contact_ids=contact_ids)
        # One snapshot for all pages, though it stays open while the reader reads (docs/adr): an opt-out that comes
        # meanwhile is the sender's to ask for, just before it submits.
        async with ContactsStore.open_snapshot(self._database, caller.merchant_id()) as store:
            async for found in store.selected(selection, request.fields, request.after_phone, request.page_size):
                for page in _bounded(found):
                    yield page

    async def FilterTextable(self, request: pb.FilterTextableRequest, context: Context) -> pb.FilterTextableResponse:
        if len(request.phones) > PHONES_MAX:
            raise TooManyPhones(field="phones", phones_max=PHONES_MAX)
        if any(not phones.is_e164(phone) for phone in request.phones):
            raise PhoneInvalid(field="phones")
        async with ContactsStore.open(self._database, caller.merchant_id()) as store:
            if request.allow_strangers:
                refused = await store.opted_out(request.phones, self._hashed)
            else:
                refused = await store.untextable(request.phones)
        return pb.FilterTextableResponse(refused_phones=refused)

    async def WithdrawConsent(self, request: pb.WithdrawConsentRequest, context: Context) -> pb.WithdrawConsentResponse:
        if not phones.is_e164(request.phone):
            raise PhoneInvalid(field="phone")
        check_source(request.source)
        said_time = request.said_time.ToDatetime(tzinfo=UTC) if request.HasField("said_time") else None
        phone_hash = self._hashed(request.phone)
        async with ContactsStore.open(self._database, caller.merchant_id()) as store:
            # The contact first and the suppression second: see store/imports.py.
            await store.rehash([request.phone], self._hashed)
            person = await store.lock_phone(request.phone)
            changed = await withdraw(store, person, phone_hash, request.source, said_time)
        return pb.WithdrawConsentResponse(changed=changed)

    async def RestoreConsent(self, request: pb.RestoreConsentRequest, context: Context) -> pb.RestoreConsentResponse:
        if not phones.is_e164(request.phone):
            raise PhoneInvalid(field="phone")
        phone_hash = self._hashed(request.phone)
        async with ContactsStore.open(self._database, caller.merchant_id()) as store:
            await store.rehash([request.phone], self._hashed)
            person = await store.lock_phone(request.phone)
            changed = await store.lift_stop(phone_hash, request.said_time.ToDatetime(tzinfo=UTC))
            if changed and person:
                await store.update_contact(person.id, {"subscription": pb.Contact.SUBSCRIBED})
            if changed:
                # As good as the consent that the STOP took back: the person says so from the same phone.
                said = Statement(Consent.GRANTED, START, Consent.CONSENT)
                await store.note_consents(said, [(person.id if person else None, phone_hash)])
        return pb.RestoreConsentResponse(changed=changed)


async def withdraw(
    store: ContactsStore, person: pb.Contact | None, phone_hash: bytes, source: str, said_time: datetime | None = None
) -> bool:
    """Suppresses a phone and unsubscribes its contact, which is locked; false where nothing is new."""
    if person:
        await store.update_contact(person.id, {"subscription": pb.Contact.UNSUBSCRIBED})
    whom = (person.id if person else None, [phone_hash])
    changed = await store.withdraw(*whom, source, said_time)
    if changed and person and person.subscription == pb.Contact.UNSUBSCRIBED:
        # Unsubscribed before, by the merchant: no START is to undo that.
        await store.withdraw(*whom, MERCHANT)
    return changed


def check_source(source: str) -> None:
    """Refuses `ContactInvalid`."""
    if len(source) > SOURCE_LENGTH_MAX or CONTROL.search(source):
        raise ContactInvalid(field="source", problem=TOO_LONG)


def _bounded(found: list[tuple[Any, ...]]) -> Iterator[pb.AudiencePage]:
    page = pb.AudiencePage()
    add = page.members.add
    for contact_id, phone, *values in found:
        add(contact_id=contact_id, phone=phone, values=values)
    if len(found) > 1 and page.ByteSize() > PAGE_BYTES_MAX:
        middle = len(found) // 2
        yield from _bounded(found[:middle])
        yield from _bounded(found[middle:])
    else:
        yield page


def _check_fields(fields: Any) -> None:
    """Refuses `FieldUnknown`."""
    if len(fields) > FIELDS_MAX:
        raise FieldUnknown(field="fields", fields_max=FIELDS_MAX)
    for field in fields:
        name = field.removeprefix(ATTRIBUTE)
        is_attribute = field.startswith(ATTRIBUTE) and 0 < len(name) <= ATTRIBUTE_NAME_LENGTH_MAX
        if field not in MERGE_FIELDS and (not is_attribute or CONTROL.search(name)):
            raise FieldUnknown(field="fields", name=field[:100], known=", ".join([*MERGE_FIELDS, ATTRIBUTE + "<name>"]))
