"""People sign up by themselves: by a page without a script, with their words kept, and with no way to find out who is a
customer or to undo anybody's opt-out.
"""

import asyncio
import re
from datetime import date
from typing import Any
from urllib.parse import urlencode

import pytest
from google.api.httpbody_pb2 import HttpBody
from sqlalchemy import text

from astronote.contacts.v1 import contacts_pb2 as pb
from astronote.contacts.v1.consents_pb2 import Consent
from astronote.contacts.v1.events_pb2 import ContactCreated
from astronote.contacts.v1.forms_pb2 import Form, GetFormQrRequest
from services.contacts import contact, evidence
from services.contacts.servicers import sign_ups
from services.contacts.servicers.audiences import withdraw
from services.contacts.store import ContactsStore
from services.contacts.suppression import PhoneHash
from tests.conftest import SETTINGS
from tests.contacts.client import METHODS, Client, reason, refused

PHONE = "+306912345678"
HASHED = PhoneHash(SETTINGS["contacts"]["suppression_key"])
TODAY = date(2026, 1, 1)
WORDING = "Θέλω προσφορές με SMS <b>& νέα</b>.\nΔιαγράφομαι όποτε θέλω."


class Visitor:
    """Somebody with a phone in the hand, who is nobody's customer yet."""

    def __init__(self, mesh: Any) -> None:
        self._mesh = mesh

    async def __call__(self, method: str, **fields: Any) -> str:
        stub, request = METHODS[method]
        peer = await self._mesh.service("contacts")
        metadata = peer.metadata("", role="public")
        metadata += (("x-client-address", "192.0.2.7"), ("x-client-agent", "Firefox"))
        answer: HttpBody = await getattr(stub(peer.channel), method)(request(**fields), metadata=metadata, timeout=20)
        assert answer.content_type == "text/html; charset=utf-8"
        return answer.data.decode()

    async def sign_up(self, form: Form, phone: str = PHONE, **fields: str) -> str:
        given = urlencode({"phone": phone, "agreed": "yes"} | fields)
        return await self("SignUp", code=code(form), form=HttpBody(data=given.encode()))


def code(form: Form) -> str:
    return form.url.rpartition("/f/")[2]


@pytest.fixture
def visitor(mesh: Any) -> Visitor:
    return Visitor(mesh)


async def make(book: Client, **fields: Any) -> Form:
    return await book("CreateForm", form={"title": "Καφέ Νότος", "wording": WORDING} | fields)


async def consents(book: Client) -> list[tuple[str, str]]:
    return [(said["event"], said["source"]) for said in await book.ledger()]


async def test_a_form_is_made_read_listed_changed_and_removed(book: Client, other: Client):
    form = await make(book, tags=["shop"])
    assert re.fullmatch(r"http://shop\.test/f/[A-Za-z0-9_-]{16}", form.url)
    assert (form.title, form.wording, form.language, list(form.tags)) == ("Καφέ Νότος", WORDING, "el", ["shop"])
    assert await book("GetForm", id=form.id) == form
    assert list((await book("ListForms")).forms) == [form]
    changed = await book("UpdateForm", form={"id": form.id, "title": "Νότος"}, update_mask={"paths": ["title"]})
    assert (changed.title, changed.url, changed.wording) == ("Νότος", form.url, WORDING)
    for method in ("GetForm", "DeleteForm", "GetFormQr"):
        assert await reason(other(method, id=form.id)) == "FORM_NOT_FOUND"
    assert await reason(other("UpdateForm", form={"id": form.id, "title": "Νότος"})) == "FORM_NOT_FOUND"
    await book("DeleteForm", id=form.id)
    assert await reason(book("GetForm", id=form.id)) == "FORM_NOT_FOUND"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"title": " "}, "title"),
        ({"title": "x" * 101}, "title"),
        ({"wording": " "}, "wording"),
        ({"wording": "x" * 2_001}, "wording"),
        ({"language": "tlh"}, "language"),
        ({"tags": [""]}, "tags"),
    ],
)
async def test_a_wrong_field_of_a_form_is_named(book: Client, fields: dict[str, Any], field: str):
    answer, metadata = await refused(make(book, **fields))
    assert (answer, metadata["field"]) == ("FORM_INVALID", f"form.{field}")


async def test_the_address_is_drawn_for_print(book: Client):
    form = await make(book)
    svg = await book("GetFormQr", id=form.id)
    assert (svg.content_type, svg.data[:5]) == ("image/svg+xml", b"<?xml")
    png = await book("GetFormQr", id=form.id, format=GetFormQrRequest.PNG)
    assert (png.content_type, png.data[:8]) == ("image/png", b"\x89PNG\r\n\x1a\n")


async def test_the_page_needs_no_script_and_shows_others_words_as_words(book: Client, visitor: Visitor):
    page = await visitor("ShowForm", code=code(await make(book)))
    assert "&lt;b&gt;&amp; νέα&lt;/b&gt;" in page
    assert "<script" not in page
    assert '<html lang="el">' in page
    assert 'lang="en"' in await visitor("ShowForm", code=code(await make(book, language="en")))
    assert await reason(visitor("ShowForm", code="A" * 16)) == "FORM_NOT_FOUND"


async def test_who_signs_up_is_a_contact_with_proof_and_heard_of(book: Client, visitor: Visitor):
    members = await book("CreateList", list={"name": "VIP"})
    form = await make(book, list_id=members.id, tags=["shop"])
    heard = await book.listening(ContactCreated)
    page = await visitor.sign_up(form, first_name="Μαρία")
    assert "Ευχαριστούμε" in page
    (person,) = await book.book()
    assert (person.phone, person.first_name, list(person.tags)) == (PHONE, "Μαρία", ["shop"])
    assert (person.language, person.subscription) == ("el", pb.Contact.SUBSCRIBED)
    assert (await book("GetList", id=members.id)).contact_count == 1
    (consent,) = (await book("ListConsents", contact_id=person.id)).consents
    assert (consent.event, consent.legal_basis, consent.wording) == (Consent.GRANTED, Consent.CONSENT, WORDING)
    assert (consent.ip_address, consent.user_agent) == ("192.0.2.7", "Firefox")
    (event,) = await heard(1)
    assert event == ContactCreated(merchant_id=book.merchant_id, contact_id=person.id, source="form")
    # The origin is in the evidence, and goes with the person while the chain stays.
    bodies = await book.stream("ExportConsents")
    assert b"192.0.2.7" in bodies[0].data
    await book("EraseContact", id=person.id)
    bodies = await book.stream("ExportConsents")
    assert b"192.0.2.7" not in bodies[0].data
    assert evidence.verified(bodies[0].data.splitlines()).people == 2


async def test_the_answer_says_nothing_about_the_phone(book: Client, visitor: Visitor):
    form = await make(book)
    new = await visitor.sign_up(form)
    known = await visitor.sign_up(form)
    await book("WithdrawConsent", phone=PHONE, source="STOP")
    opted_out = await visitor.sign_up(form)
    assert new == known == opted_out


async def test_a_known_contact_keeps_what_it_had(book: Client, visitor: Visitor):
    person = await book.create(PHONE, first_name="Μαρία", tags=["vip"])
    await visitor.sign_up(await make(book, tags=["shop"]), first_name="Χάκερ")
    (after,) = await book.book()
    assert (after.id, after.first_name, list(after.tags)) == (person.id, "Μαρία", ["vip", "shop"])
    assert [event for event, _ in await consents(book)] == ["GRANTED", "GRANTED"]


@pytest.mark.parametrize("is_double", [False, True])
async def test_a_form_undoes_no_opt_out(book: Client, visitor: Visitor, is_double: bool):
    form = await make(book, double_opt_in=is_double)
    await book("WithdrawConsent", phone=PHONE, source="STOP")
    await visitor.sign_up(form)
    assert (await book("FilterTextable", phones=[PHONE], allow_strangers=True)).refused_phones == [PHONE]
    assert (await book.book(), await book.count("sign_ups")) == ([], 0)
    assert [event for event, _ in await consents(book)] == ["WITHDRAWN", "REQUESTED"]


async def test_a_form_undoes_no_opt_out_of_the_same_moment(book: Client, visitor: Visitor):
    form = await make(book, tags=["shop"])
    person = await book.create(PHONE)
    async with ContactsStore.open(book.mesh.app("contacts").database, book.merchant_id) as stop:
        await stop.lock_phone(PHONE)
        signing_up = asyncio.create_task(visitor.sign_up(form))
        async with asyncio.timeout(60):
            while not await book.rows("SELECT FROM pg_locks WHERE NOT granted AND :merchant_id <> ''"):
                await asyncio.sleep(0.02)
        await withdraw(stop, person, HASHED(PHONE), "STOP")
    await signing_up
    (after,) = await book.book()
    assert (after.subscription, list(after.tags)) == (pb.Contact.UNSUBSCRIBED, [])
    assert [event for event, _ in await consents(book)] == ["GRANTED", "WITHDRAWN", "REQUESTED"]


async def test_a_form_brings_nobody_in_who_opts_out_in_the_same_moment(book: Client, visitor: Visitor):
    form = await make(book, tags=["shop"])
    values = contact.values(pb.Contact(subscription=pb.Contact.SUBSCRIBED), set(contact.WRITABLE) - {"phone"}, TODAY)
    async with ContactsStore.open(book.mesh.app("contacts").database, book.merchant_id) as other:
        await other.create_contacts([values | {"phone": PHONE, "phone_hash": HASHED(PHONE), "search": ""}])
        signing_up = asyncio.create_task(visitor.sign_up(form))
        async with asyncio.timeout(60):
            while not await book.rows("SELECT FROM pg_locks WHERE NOT granted AND :merchant_id <> ''"):
                await asyncio.sleep(0.02)
        await book("WithdrawConsent", phone=PHONE, source="STOP")
        await other.driver.rollback()
    await signing_up
    assert await book.book() == []
    assert [event for event, _ in await consents(book)] == ["WITHDRAWN", "REQUESTED"]


async def test_another_number_brings_nobody_back_whose_stop_the_book_has_missed(book: Client):
    """One that came while the contact was made."""
    person = await book.create(PHONE)
    async with ContactsStore.open(book.mesh.app("contacts").database, book.merchant_id) as stop:
        await stop.withdraw(None, [HASHED(PHONE)], "STOP")
    assert (await book.update(person.id, phone="+306987654321")).subscription == pb.Contact.UNSUBSCRIBED
    assert [event for event, _ in await consents(book)] == ["GRANTED", "WITHDRAWN"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"phone=%2B306912345678", "συγκατάθεσή"),
        (b"", "συγκατάθεσή"),
        (b"\xff\xfe", "συγκατάθεσή"),
        (b"&" * 4000, "συγκατάθεσή"),
        (b"agreed=yes", "δεν είναι σωστός"),
        (b"agreed=yes&phone=%3Cscript%3E", "δεν είναι σωστός"),
        (b"agreed=yes&phone=%2B30691&first_name=x", "δεν είναι σωστός"),
    ],
)
async def test_what_is_missing_is_said_on_the_page(book: Client, visitor: Visitor, body: bytes, said: str):
    page = await visitor("SignUp", code=code(await make(book)), form=HttpBody(data=body))
    assert said in page
    assert "<script" not in page
    assert await book.book() == []


async def test_a_form_that_is_filled_in_too_often_is_busy(
    book: Client, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sign_ups, "SUBMISSIONS_AN_HOUR_MAX", 2)
    form = await make(book)
    for number in range(2):
        await visitor.sign_up(form, f"+30690000000{number}")
    assert await reason(visitor.sign_up(form, "+306900000003")) == "FORM_BUSY"
    await book.rows("UPDATE forms SET hour_time = now() - interval '61 minutes' WHERE merchant_id = :merchant_id")
    await visitor.sign_up(form, "+306900000003")
    assert len(await book.book()) == 3


async def test_many_at_once_make_one_contact(book: Client, visitor: Visitor):
    form = await make(book)
    await asyncio.gather(*(visitor.sign_up(form) for _ in range(10)))
    assert len(await book.book()) == 1
    assert [event for event, _ in await consents(book)] == ["GRANTED"] * 10


async def test_a_list_that_is_gone_keeps_nobody_out(book: Client, visitor: Visitor):
    members = await book("CreateList", list={"name": "VIP"})
    form = await make(book, list_id=members.id)
    await book("DeleteList", id=members.id)
    await visitor.sign_up(form)
    assert len(await book.book()) == 1
    assert await reason(make(book, list_id=members.id)) == "LIST_NOT_FOUND"


async def test_with_double_opt_in_only_the_phones_owner_confirms(book: Client, visitor: Visitor):
    form = await make(book, double_opt_in=True, tags=["shop"])
    for _ in range(2):
        assert "SMS" in await visitor.sign_up(form, first_name="Μαρία")
    assert (await book.book(), [event for event, _ in await consents(book)]) == ([], ["REQUESTED", "REQUESTED"])
    # One text in two days, however often somebody types the number.
    ((token,),) = await book.rows("SELECT token FROM sign_ups WHERE merchant_id = :merchant_id")
    assert "button" in await visitor("ShowSignUp", token=token)
    assert await book.book() == []
    for _ in range(2):
        assert "Ευχαριστούμε" in await visitor("ConfirmSignUp", token=token)
    (person,) = await book.book()
    assert (person.first_name, list(person.tags)) == ("Μαρία", ["shop"])
    assert [event for event, _ in await consents(book)] == ["REQUESTED", "REQUESTED", "GRANTED"]
    await book.rows("UPDATE sign_ups SET create_time = now() - interval '49 hours' WHERE merchant_id = :merchant_id")
    assert await reason(visitor("ConfirmSignUp", token=token)) == "SIGN_UP_NOT_FOUND"
    assert await reason(visitor("ShowSignUp", token="x")) == "SIGN_UP_NOT_FOUND"
    async with ContactsStore.open_pipeline(book.mesh.app("contacts").database) as store:
        assert await store.drop_old_sign_ups() >= 1
        left = await store.connection.execute(text("SELECT count(*) FROM sign_ups WHERE token = :t"), {"t": token})
        assert left.scalar_one() == 0
