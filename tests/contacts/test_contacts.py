"""The book over a real channel and a real database."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import text

from astronote.contacts.v1 import contacts_pb2 as pb
from services.contacts.store import ContactsStore
from tests.contacts.client import ALL, Client, reason, refused

PHONE, OTHER_PHONE = "+306912345678", "+306987654321"
MARIA = {
    "email": "maria@example.gr",
    "first_name": "Μαρία",
    "last_name": "Παπαδοπούλου",
    "gender": pb.Contact.FEMALE,
    "birthday": "1990-02-28",
    "language": "el",
    "time_zone": "Europe/Athens",
    "tags": ["vip", "καφές"],
    "attributes": {"city": "Αθήνα", "πόντοι": "12"},
}


async def test_what_is_created_is_read_listed_changed_and_deleted(book: Client):
    created = await book.create("+30 691 234 5678", **MARIA)
    assert created.phone == PHONE
    assert created.subscription == pb.Contact.SUBSCRIBED
    assert {name: getattr(created, name) for name in MARIA} == MARIA
    assert created.create_time.seconds > 0
    assert await book("GetContact", id=created.id) == created
    assert await book.book() == [created]
    changed = await book.update(created.id, first_name="Μαρίνα", tags=["new"])
    assert (changed.first_name, changed.last_name, list(changed.tags)) == ("Μαρίνα", "Παπαδοπούλου", ["new"])
    assert [person.id for person in await book.book(q="μαρινα")] == [created.id]
    assert await book.book(q="μαρια παπ") == []
    await book("DeleteContact", id=created.id)
    assert await reason(book("GetContact", id=created.id)) == "CONTACT_NOT_FOUND"
    assert await reason(book("DeleteContact", id=created.id)) == "CONTACT_NOT_FOUND"
    assert await reason(book.update(created.id, first_name="x")) == "CONTACT_NOT_FOUND"


async def test_a_phone_stands_once_in_a_book(book: Client, other: Client):
    first = await book.create(PHONE)
    assert await refused(book.create("0030 691 2345678")) == (
        "PHONE_TAKEN",
        {"field": "contact.phone", "phone": PHONE},
    )
    second = await book.create(OTHER_PHONE)
    assert await reason(book.update(second.id, phone=PHONE)) == "PHONE_TAKEN"
    assert (await book.update(first.id, phone="+306900000001")).phone == "+306900000001"
    assert (await other.create(OTHER_PHONE)).phone == OTHER_PHONE


async def test_of_many_that_create_the_same_phone_one_does(book: Client):
    answers = await asyncio.gather(*(book.create(PHONE) for _ in range(10)), return_exceptions=True)
    assert sum(isinstance(answer, pb.Contact) for answer in answers) == 1
    assert len(await book.book()) == 1


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"first_name": "x" * 101}, "first_name"),
        ({"last_name": "x\x00y"}, "last_name"),
        ({"email": "nobody"}, "email"),
        ({"email": "a@b.c\n,x@y.z"}, "email"),
        ({"birthday": "1990-02-30"}, "birthday"),
        ({"birthday": "2990-02-20"}, "birthday"),
        ({"birthday": "19900220"}, "birthday"),
        ({"birthday": "1990-W05-3"}, "birthday"),
        ({"language": "greek!"}, "language"),
        ({"time_zone": "Europe/Sparta"}, "time_zone"),
        ({"tags": ["x" * 51]}, "tags"),
        ({"tags": [str(number) for number in range(51)]}, "tags"),
        ({"tags": [" "]}, "tags"),
        ({"attributes": {"x" * 51: "y"}}, "attributes"),
        ({"attributes": {"": "y"}}, "attributes"),
        ({"attributes": {"x": "y" * 501}}, "attributes"),
        ({"attributes": {"x": "\x00"}}, "attributes"),
        ({"attributes": {str(number): "y" for number in range(51)}}, "attributes"),
        ({"gender": 9}, "gender"),
        ({"subscription": 9}, "subscription"),
    ],
)
async def test_a_wrong_field_is_named(book: Client, fields: dict[str, Any], field: str):
    answer, metadata = await refused(book.create(PHONE, **fields))
    assert (answer, metadata["field"]) == ("CONTACT_INVALID", f"contact.{field}")
    person = await book.create(PHONE)
    assert await reason(book.update(person.id, **fields)) == "CONTACT_INVALID"


@pytest.mark.parametrize("phone", ["+3069", "+30 691 234 567a", "+", "+999123456789", "call me", "+306912345678 ext 5"])
async def test_a_bad_phone_is_refused(book: Client, phone: str):
    answer = await reason(book.create(phone))
    assert answer == "PHONE_INVALID"


async def test_masks_and_ids_and_tokens_that_make_no_sense_are_refused(book: Client):
    person = await book.create(PHONE)
    request = pb.UpdateContactRequest(contact=person, update_mask={"paths": ["create_time"]})
    assert await reason(await book.call("UpdateContact", request)) == "MASK_INVALID"
    assert await reason(book("GetContact", id="7")) == "CONTACT_NOT_FOUND"
    assert await reason(book("ListContacts", page_token="bm9uZQ")) == "PAGE_TOKEN_INVALID"
    assert await reason(book("ListContacts", page_size=501)) == "PAGE_SIZE_INVALID"
    assert await reason(book("ListContacts", subscription=7)) == "CONTACT_INVALID"
    assert await reason(book("ListContacts", tag="\x00")) == "CONTACT_INVALID"
    assert await book.book(q="\x00\x1f") == [person]
    assert await reason(book.update(person.id, subscription=0)) == "CONTACT_INVALID"


@pytest.mark.parametrize(
    ("q", "found"),
    [
        ("μαρια", True),
        ("ΜΑΡΊΑ", True),
        ("παπαδοπουλου μαρ", True),
        ("ΠΑΠΑΔΟΠΟΥΛΟΥ", True),
        ("γιαννησ", False),
        ("MARIA@EX", True),
        ("691 234", True),
        ("+30691", True),
        ("0030 691", True),
        ("%", False),
        ("_", False),
        ("\\", False),
        ("μαρια691", False),
    ],
)
async def test_search_without_accents_and_case(book: Client, q: str, found: bool):
    await book.create(PHONE, **MARIA)
    assert [person.phone for person in await book.book(q=q)] == ([PHONE] if found else [])


async def test_search_folds_the_final_sigma_and_other_alphabets(book: Client):
    await book.create(PHONE, first_name="Γιάννης", last_name="Straße")
    await book.create(OTHER_PHONE, first_name="José_100%")
    assert [person.phone for person in await book.book(q="ΓΙΑΝΝΗΣ")] == [PHONE]
    assert [person.phone for person in await book.book(q="strasse")] == [PHONE]
    assert [person.phone for person in await book.book(q="jose_100%")] == [OTHER_PHONE]


async def test_lists_go_by_pages_and_filters(book: Client):
    for number in range(7):
        await book.create(f"+30690000000{number}", tags=["even"] if number % 2 == 0 else ["odd"])
    seen, token = [], ""
    while True:
        page = await book("ListContacts", page_size=3, page_token=token)
        seen += [person.phone for person in page.contacts]
        if not (token := page.next_page_token):
            break
    assert len(seen) == len(set(seen)) == 7
    assert len(await book.book(tag="even")) == 4
    await book.update((await book.book(tag="odd"))[0].id, subscription=pb.Contact.UNSUBSCRIBED)
    assert len(await book.book(subscription=pb.Contact.UNSUBSCRIBED)) == 1
    assert len(await book.book(subscription=pb.Contact.SUBSCRIBED, tag="odd")) == 2


async def test_another_merchant_sees_nothing_by_any_call(book: Client, other: Client):
    person = await book.create(PHONE, first_name="Μαρία")
    file = await book.imported("phone\n+306900000000\nx\n")
    before = await book("GetContact", id=person.id)
    for call in (
        other("GetContact", id=person.id),
        other.update(person.id, first_name="theirs"),
        other.update(person.id, subscription=pb.Contact.UNSUBSCRIBED),
        other("DeleteContact", id=person.id),
    ):
        assert await reason(call) == "CONTACT_NOT_FOUND"
    assert await reason(other("GetImport", id=file.id)) == "IMPORT_NOT_FOUND"
    assert await reason(other("ListImportRejects", id=file.id)) == "IMPORT_NOT_FOUND"
    assert await other.book() == []
    assert (await other("CountAudience", audience=ALL)).count == 0
    assert await other.audience("first_name") == []
    assert (await other("FilterTextable", phones=[PHONE])).refused_phones == [PHONE]
    assert b"6912345678" not in b"".join(body.data for body in await other.stream("ExportContacts"))
    # An opt-out is the merchant's own too.
    assert (await other("WithdrawConsent", phone=PHONE, source="STOP")).changed
    assert await book("GetContact", id=person.id) == before
    assert (await book("FilterTextable", phones=[PHONE])).refused_phones == []


async def test_the_database_itself_hides_other_merchants(book: Client, other: Client):
    await book.create(PHONE)
    await book.imported("phone\n+306900000000\nx\n")
    await book("WithdrawConsent", phone=PHONE, source="STOP")
    assert len(await book.ledger()) == 3
    database = book.mesh.app("contacts").database
    for table in ("contacts", "suppressions", "consents", "imports", "import_rejects"):
        assert await book.count(table) > 0
        async with ContactsStore.open(database, other.merchant_id) as store:
            assert (await store.connection.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one() == 0
        async with database.merchants.begin() as connection:
            assert (await connection.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one() == 0


async def test_only_those_may_call_who_are_named(book: Client):
    for method, caller, fields in (
        ("StreamAudience", "gateway", {"audience": ALL, "page_size": 1}),
        ("StreamAudience", "sender", {"audience": ALL, "page_size": 1}),
        ("FilterTextable", "campaigns", {}),
        ("WithdrawConsent", "gateway", {"phone": PHONE, "source": "x"}),
        ("GetContact", "sender", {"id": "x"}),
    ):
        request = getattr(pb, f"{method}Request")(**fields)
        call = await book.call(method, request, caller)
        assert await reason(call if method != "StreamAudience" else anext(aiter(call))) == "ACCESS_DENIED"


@pytest.mark.parametrize("filters", [{}, {"q": "χ"}, {"tag": "a"}, {"subscription": pb.Contact.SUBSCRIBED}])
async def test_contacts_are_listed_in_the_order_that_is_asked_for(book: Client, filters: dict[str, Any]):
    await book.create("+306900000003", last_name="Χαρά", tags=["a"])
    # One page of a file came at one time.
    await book.imported("phone,last_name,tags\n+306900000004,Χ,a\n+306900000001,Χ,a\n+306900000005,Χ,a\n")
    await book.create("+306900000002", last_name="χ", tags=["a"])
    orders = {
        order: await paged(book, order_by=order, **filters)
        for order in ("", "phone", "phone desc", "createTime", "createTime desc")
    }
    keys = {"": "id", "phone": "phone", "createTime": "create_time"}
    for order, found in orders.items():
        values = [getattr(each, keys[order.removesuffix(" desc")]) for each in found]
        texts = [value if isinstance(value, str) else value.ToJsonString() for value in values]
        assert texts == sorted(texts, reverse=order.endswith("desc")), order
        assert len({each.id for each in found}) == len(found) == 5
    assert orders["createTime desc"] == orders["createTime"][::-1]
    assert [each.phone[-1] for each in (orders["createTime"][0], orders["createTime"][-1])] == ["3", "2"]


async def paged(book: Client, **asked: Any) -> list[pb.Contact]:
    """All pages of two."""
    found, token = [], ""
    while True:
        page = await book("ListContacts", page_size=2, page_token=token, **asked)
        found += page.contacts
        if not (token := page.next_page_token):
            return found


async def test_an_order_that_there_is_not_and_a_place_in_another_are_refused(book: Client):
    for number in range(3):
        await book.create(f"+30690000000{number}")
    for order in ("name", "phone asc", "createTime desc, id", "phone;"):
        answer, metadata = await refused(book("ListContacts", order_by=order))
        assert (answer, metadata["field"]) == ("CONTACT_INVALID", "order_by")
    tokens = {
        order: (await book("ListContacts", page_size=2, order_by=order)).next_page_token
        for order in ("", "phone", "createTime")
    }
    for order in tokens:
        for other, token in tokens.items():
            if other != order:
                call = book("ListContacts", order_by=order, page_token=token)
                assert await reason(call) == "PAGE_TOKEN_INVALID"
