"""The RPCs of the book: check, ask or change it in a transaction, answer."""

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from typing import Any

from google.api.httpbody_pb2 import HttpBody
from google.protobuf.empty_pb2 import Empty

from astronote.contacts.v1 import contacts_pb2 as pb
from astronote.contacts.v1 import contacts_pb2_grpc as rpc
from astronote.contacts.v1.consents_pb2 import Consent
from kit import caller, pages, rows
from kit.store import Database
from services.contacts import consent, contact, export, fields, merging, phones, search
from services.contacts.countries import Countries
from services.contacts.creating import Creating, New
from services.contacts.errors import ContactInvalid, OptedOut
from services.contacts.servicers.lists import check_contacts
from services.contacts.store import ContactsStore
from services.contacts.store.contacts import ORDERS, Filter, Order
from services.contacts.suppression import MERCHANT, PhoneHash

EXPORT_PAGE_SIZE = 500
Context = Any


class Contacts(rpc.ContactsServiceServicer):
    def __init__(self, database: Database, countries: Countries, hashed: PhoneHash) -> None:
        self._database, self._countries, self._hashed = database, countries, hashed
        self._creating = Creating(database, hashed)

    async def CreateContact(self, request: pb.CreateContactRequest, context: Context) -> pb.Contact:
        if request.contact.subscription == pb.Contact.SUBSCRIPTION_UNSPECIFIED:
            request.contact.subscription = pb.Contact.SUBSCRIBED
        grant = consent.grant(request.consent_source or MERCHANT, request.consent_wording, request.legal_basis)
        values = await self._values(request.contact, contact.WRITABLE)
        return await self._creating.create(caller.merchant_id(), New(values | _search(pb.Contact(), values), grant))

    async def GetContact(self, request: pb.GetContactRequest, context: Context) -> pb.Contact:
        return await ContactsStore.read(self._database, caller.merchant_id(), lambda store: store.contact(request.id))

    async def ListContacts(self, request: pb.ListContactsRequest, context: Context) -> pb.ListContactsResponse:
        limit, chosen, order = pages.size(request.page_size), _filter(request), ORDERS.get(request.order_by)
        if order is None:
            raise ContactInvalid(field="order_by", known=", ".join(filter(None, ORDERS)))
        after = pages.after(request.page_token, lambda text: _place(text, order))
        if request.list_id:
            async with ContactsStore.open(self._database, caller.merchant_id()) as store:
                await store.check_list(request.list_id)
        found = await ContactsStore.read(
            self._database, caller.merchant_id(), lambda store: store.contact_page(after, limit, chosen, order)
        )
        token = pages.token(found, limit, lambda item: " ".join(_key(item, name) for name in order.names))
        return pb.ListContactsResponse(contacts=found, next_page_token=token)

    async def UpdateContact(self, request: pb.UpdateContactRequest, context: Context) -> pb.Contact:
        named = rows.paths(request.update_mask, request.contact, frozenset(contact.WRITABLE))
        values = await self._values(request.contact, named)
        async with ContactsStore.open(self._database, caller.merchant_id()) as store:
            before = await store.lock_contact(request.contact.id)
            wanted = values.get("subscription", before.subscription)
            phone = values.get("phone", before.phone)
            phone_hash = self._hashed(phone)
            await store.rehash([before.phone, phone], self._hashed)
            if await store.suppressed(phone_hash):
                if values.get("subscription") == pb.Contact.SUBSCRIBED:
                    raise OptedOut(field="contact.subscription")
                wanted = pb.Contact.UNSUBSCRIBED
            # A STOP beside the making of a contact is not in the book, and holds for the person all the same.
            elif "subscription" not in values and await store.suppressed(self._hashed(before.phone)):
                wanted = pb.Contact.UNSUBSCRIBED
            changes = values | {"subscription": wanted} | _search(before, values)
            after = await store.update_contact(before.id, changes)
            await store.say_tagged([(after.id, set(after.tags).difference(before.tags))])
            if values.get("subscription") == pb.Contact.UNSUBSCRIBED:
                await store.withdraw(after.id, [phone_hash], MERCHANT)
            elif after.subscription == pb.Contact.SUBSCRIBED and (
                before.subscription != pb.Contact.SUBSCRIBED or before.phone != after.phone
            ):
                # Consent is to be texted at a number: another number is another consent.
                said = consent.Statement(Consent.GRANTED, MERCHANT, Consent.CONSENT)
                await store.note_consents(said, [(after.id, phone_hash)])
        return after

    async def DeleteContact(self, request: pb.DeleteContactRequest, context: Context) -> Empty:
        async with ContactsStore.open(self._database, caller.merchant_id()) as store:
            await store.delete_contact(request.id)
        return Empty()

    async def MergeContact(self, request: pb.MergeContactRequest, context: Context) -> pb.Contact:
        async with ContactsStore.open(self._database, caller.merchant_id()) as store:
            stays, other = await store.lock_two(request.id, request.other_id)
            if stays.id == other.id:
                raise ContactInvalid(field="other_id", problem=fields.INVALID)
            values = merging.merged(stays, other)
            await store.rehash([stays.phone, other.phone], self._hashed)
            hashes = [self._hashed(person.phone) for person in (stays, other)]
            is_out = values["subscription"] == pb.Contact.UNSUBSCRIBED or any(
                [await store.suppressed(phone_hash) for phone_hash in hashes]
            )
            if is_out:
                values["subscription"] = pb.Contact.UNSUBSCRIBED
            await store.take_over(stays.id, other.id, hashes[0], self._hashed.all(other.phone))
            after = await store.update_contact(stays.id, values | _search(stays, values))
            await store.delete_contact(other.id)
            if is_out:
                phones = sorted((stays.phone, other.phone))
                await store.withdraw(stays.id, [self._hashed(phone) for phone in phones], MERCHANT)
        return after

    async def AddTags(self, request: pb.AddTagsRequest, context: Context) -> pb.AddTagsResponse:
        tags = _tags(request)
        async with ContactsStore.open(self._database, caller.merchant_id()) as store:
            return pb.AddTagsResponse(changed=await store.add_tags(request.contact_ids, tags))

    async def RemoveTags(self, request: pb.RemoveTagsRequest, context: Context) -> pb.RemoveTagsResponse:
        tags = _tags(request)
        async with ContactsStore.open(self._database, caller.merchant_id()) as store:
            return pb.RemoveTagsResponse(changed=await store.remove_tags(request.contact_ids, tags))

    async def ExportContacts(self, request: pb.ExportContactsRequest, context: Context) -> AsyncIterator[HttpBody]:
        chosen = _filter(request)
        async with ContactsStore.open_snapshot(self._database, caller.merchant_id()) as store:
            if request.list_id:
                await store.list_by_id(request.list_id)
            sheet = export.BookSheet(await store.attribute_names())
            async for page in store.everybody(chosen, EXPORT_PAGE_SIZE):
                for person in page:
                    sheet.write(person)
                if sheet.is_piece():
                    yield HttpBody(content_type=export.CONTENT_TYPE, data=sheet.taken())
        yield HttpBody(content_type=export.CONTENT_TYPE, data=sheet.taken())

    async def _values(self, person: pb.Contact, paths: tuple[str, ...] | list[str]) -> dict[str, Any]:
        """Column values of the named fields. Refuses `ContactInvalid`, `PhoneInvalid`, `AccountsUnavailable`."""
        values = contact.values(person, paths, _today())
        if "phone" in paths:
            phone = await self._countries.normalized(person.phone, caller.merchant_id())
            values |= {"phone": phone, "phone_hash": self._hashed(phone)}
        return values


def _tags(request: pb.AddTagsRequest | pb.RemoveTagsRequest) -> list[str]:
    """Refuses `TooManyContacts`, `ContactInvalid`."""
    check_contacts(request.contact_ids)
    try:
        return fields.tags(request.tags)
    except fields.Wrong as wrong:
        raise ContactInvalid(field="tags", problem=wrong.problem) from wrong


def _filter(request: pb.ListContactsRequest | pb.ExportContactsRequest) -> Filter:
    """Refuses `ContactInvalid`."""
    if request.subscription not in pb.Contact.Subscription.values():
        raise ContactInvalid(field="subscription", problem=fields.INVALID)
    if search.CONTROL.search(request.tag):
        raise ContactInvalid(field="tag", problem=fields.INVALID)
    patterns = search.patterns(request.q) if request.q else ()
    return Filter(tuple(patterns), request.subscription, request.tag, request.list_id)


def _key(item: pb.Contact, name: str) -> str:
    return item.create_time.ToJsonString() if name == "create_time" else str(getattr(item, name))


def _place(text: str, order: Order) -> list[object]:
    """Raises ValueError."""
    parse = {"id": pages.uuid, "phone": _phone, "create_time": datetime.fromisoformat}
    return [parse[name](part) for name, part in zip(order.names, text.split(" "), strict=True)]


def _phone(text: str) -> str:
    """Raises ValueError."""
    if not phones.is_e164(text):
        raise ValueError(text)
    return text


def _search(before: pb.Contact, values: dict[str, Any]) -> dict[str, str]:
    """What the contact will be found by once the values are written."""
    parts = [values.get(name, getattr(before, name)) for name in ("first_name", "last_name", "phone", "email")]
    return {"search": search.search_text(*parts)}


def _today() -> date:
    return datetime.now(UTC).date()
