"""The RPCs of who signs up: the code in an address says whose form it is, nobody is logged in here."""

import asyncio
import secrets
import uuid
from datetime import UTC, datetime
from urllib.parse import parse_qs

from google.api.httpbody_pb2 import HttpBody

from astronote.contacts.v1 import forms_pb2 as pb
from astronote.contacts.v1 import forms_pb2_grpc as rpc
from astronote.contacts.v1.consents_pb2 import Consent
from astronote.contacts.v1.contacts_pb2 import Contact
from kit import caller
from kit.interceptors import Context
from kit.store import Database
from services.contacts import contact, fields, form_pages, search
from services.contacts.consent import Origin, Statement
from services.contacts.countries import Countries
from services.contacts.errors import FormBusy, PhoneInvalid
from services.contacts.store import ContactsStore
from services.contacts.store.forms import FormRow
from services.contacts.suppression import PhoneHash

SUBMISSIONS_AN_HOUR_MAX = 500
FIELDS_MAX = 10
# 66 bits in 11 characters, and two days to find it in.
TOKEN_BYTES = 8
SALT_BYTES = 16


class SignUps(rpc.SignUpsServiceServicer):
    """`asked` wakes the job that texts the links."""

    def __init__(self, database: Database, countries: Countries, hashed: PhoneHash, asked: asyncio.Event) -> None:
        self._database, self._countries, self._hashed, self._asked = database, countries, hashed, asked

    async def ShowForm(self, request: pb.ShowFormRequest, context: Context) -> HttpBody:
        async with ContactsStore.open_pipeline(self._database) as store:
            form = await store.form_by_code(request.code)
        return form_pages.form(form["language"], form["title"], form["wording"])

    async def SignUp(self, request: pb.SignUpRequest, context: Context) -> HttpBody:
        async with ContactsStore.open_pipeline(self._database) as store:
            form = await store.form_by_code(request.code)
        given = _fields(request.form.data)
        shown = {"phone": given.get("phone", "")[:30], "first_name": given.get("first_name", "")[:100]}
        if given.get("agreed") != "yes":
            return form_pages.form(form["language"], form["title"], form["wording"], wrong="not_agreed", **shown)
        try:
            phone = await self._countries.normalized(given.get("phone", ""), form["merchant_id"])
        except PhoneInvalid:
            return form_pages.form(form["language"], form["title"], form["wording"], wrong="wrong_phone", **shown)
        async with ContactsStore.open(self._database, form["merchant_id"]) as store:
            await store.rehash([phone], self._hashed)
            count = await store.count_submission(form["id"], datetime.now(UTC))
            if count > SUBMISSIONS_AN_HOUR_MAX:
                raise FormBusy(retry_seconds=3600)
            await self._take(store, form, phone, _name(shown["first_name"]))
        self._asked.set()
        return form_pages.received(form["language"], form["title"], is_double=form["double_opt_in"])

    async def ShowSignUp(self, request: pb.ShowSignUpRequest, context: Context) -> HttpBody:
        async with ContactsStore.open_pipeline(self._database) as store:
            sign_up = await store.sign_up(request.token)
        async with ContactsStore.open(self._database, sign_up["merchant_id"]) as store:
            form = await store.form(sign_up["form_id"])
        return form_pages.confirm(form["language"], form["title"])

    async def ConfirmSignUp(self, request: pb.ConfirmSignUpRequest, context: Context) -> HttpBody:
        async with ContactsStore.open_pipeline(self._database) as store:
            merchant_id = (await store.sign_up(request.token))["merchant_id"]
        async with ContactsStore.open(self._database, merchant_id) as store:
            sign_up = await store.sign_up(request.token)
            form = await store.form(sign_up["form_id"])
            if sign_up["confirm_time"] is None:
                await store.note_confirmed(sign_up)
                await store.rehash([sign_up["phone"]], self._hashed)
                await self._join(store, form, sign_up["phone"], sign_up["first_name"])
        return form_pages.confirmed(form["language"], form["title"])

    async def _take(self, store: ContactsStore, form: FormRow, phone: str, first_name: str) -> None:
        if not form["double_opt_in"]:
            await self._join(store, form, phone, first_name)
            return
        phone_hash = self._hashed(phone)
        if not await store.suppressed(phone_hash):
            link = {"id": str(uuid.uuid4()), "token": secrets.token_urlsafe(TOKEN_BYTES), "form_id": form["id"]}
            await store.ask_to_confirm(link | {"phone": phone, "first_name": first_name})
        await store.note_consents(_statement(form, Consent.REQUESTED), [(None, phone_hash)])

    async def _join(self, store: ContactsStore, form: FormRow, phone: str, first_name: str) -> None:
        """Whoever opted out is not brought back by a number that anybody may type; what is known of a contact is not
        overwritten by it either.
        """
        phone_hash = self._hashed(phone)
        if await store.suppressed(phone_hash):
            await store.note_consents(_statement(form, Consent.REQUESTED), [(None, phone_hash)])
            return
        new = Contact(
            first_name=first_name, language=form["language"], tags=form["tags"], subscription=Contact.SUBSCRIBED
        )
        values = contact.values(new, set(contact.WRITABLE) - {"phone"}, datetime.now(UTC).date())
        values |= {"phone": phone, "phone_hash": phone_hash, "search": search.search_text(first_name, "", phone, "")}
        made = await store.create_contacts([values])
        person = made[0] if made else await store.lock_phone(phone)
        contact_id = person.id if person else None
        # A STOP may have come in this moment.
        if await store.suppressed(phone_hash):
            if made:
                await store.delete_contact(made[0].id)
            known_id = None if made else contact_id
            await store.note_consents(_statement(form, Consent.REQUESTED), [(known_id, phone_hash)])
            return
        if made:
            await store.say_created(made, "form")
        elif person:
            tags = list(dict.fromkeys([*person.tags, *form["tags"]]))[: fields.TAGS_MAX]
            await store.update_contact(person.id, {"tags": tags, "subscription": Contact.SUBSCRIBED})
            await store.say_tagged([(person.id, set(tags).difference(person.tags))])
        if contact_id and form["list_id"]:
            await store.add_to_list(form["list_id"], [contact_id])
        await store.note_consents(_statement(form, Consent.GRANTED), [(contact_id, phone_hash)])


def _statement(form: FormRow, event: Consent.Event.ValueType) -> Statement:
    origin = Origin(caller.client_address(), caller.client_agent(), secrets.token_bytes(SALT_BYTES))
    basis = Consent.CONSENT if event == Consent.GRANTED else Consent.LEGAL_BASIS_UNSPECIFIED
    return Statement(event, f"form {form['code']}", basis, form["wording"], origin)


def _fields(body: bytes) -> dict[str, str]:
    """The first value of each; what is no form has none."""
    try:
        found = parse_qs(body.decode(), max_num_fields=FIELDS_MAX)
    except ValueError:
        return {}
    return {name: values[0] for name, values in found.items()}


def _name(given: str) -> str:
    """What can't be a name is none: the sign-up counts all the same."""
    try:
        return fields.name(given)
    except fields.Wrong:
        return ""
