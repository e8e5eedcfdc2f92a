"""Lists: who is on them, over a real channel and a real database."""

import asyncio
import uuid

import pytest

from astronote.contacts.v1 import contacts_pb2 as pb
from astronote.contacts.v1 import lists_pb2
from tests.contacts.client import Client, reason, refused

FIRST, SECOND, THIRD = "+306900000001", "+306900000002", "+306900000003"


@pytest.fixture
async def three(book: Client) -> tuple[Client, list[str]]:
    return book, [(await book.create(phone)).id for phone in (FIRST, SECOND, THIRD)]


async def made(book: Client, name: str = "Πελάτες") -> str:
    created: lists_pb2.List = await book("CreateList", list={"name": name})
    return created.id


async def on(book: Client, list_id: str, **more: object) -> set[str]:
    return {person.id for person in (await book("ListListContacts", id=list_id, **more)).contacts}


async def test_a_list_is_made_read_renamed_and_removed(three: tuple[Client, list[str]]):
    book, ids = three
    created = await book("CreateList", list={"name": "  Πελάτες   VIP "})
    assert (created.name, created.contact_count) == ("Πελάτες VIP", 0)
    assert await book("GetList", id=created.id) == created
    assert (await book("AddListContacts", id=created.id, contact_ids=ids[:2])).added == 2
    renamed = await book("UpdateList", list={"id": created.id, "name": "Φίλοι"}, update_mask={"paths": ["name"]})
    assert (renamed.name, renamed.contact_count) == ("Φίλοι", 2)
    assert list((await book("ListLists")).lists) == [renamed]
    await book("DeleteList", id=created.id)
    assert await reason(book("GetList", id=created.id)) == "LIST_NOT_FOUND"
    assert await reason(book("DeleteList", id=created.id)) == "LIST_NOT_FOUND"
    assert await book.count("list_contacts") == 0
    assert len(await book.book()) == 3


async def test_a_name_stands_once_and_is_short(book: Client, other: Client):
    first = await made(book)
    assert await refused(book("CreateList", list={"name": "Πελάτες"})) == (
        "LIST_NAME_TAKEN",
        {"field": "list.name", "name": "Πελάτες"},
    )
    second = await made(book, "x")
    assert await reason(book("UpdateList", list={"id": second, "name": "Πελάτες"})) == "LIST_NAME_TAKEN"
    assert await made(other) != first
    for name in ("x" * 101, " ", "a\x00b"):
        assert await reason(book("CreateList", list={"name": name})) in ("LIST_INVALID", "FIELD_REQUIRED")
    answers = await asyncio.gather(*(made(book, "same") for _ in range(8)), return_exceptions=True)
    assert sum(isinstance(answer, str) for answer in answers) == 1


async def test_contacts_come_and_go_and_again_changes_nothing(three: tuple[Client, list[str]]):
    book, ids = three
    list_id = await made(book)
    assert (await book("AddListContacts", id=list_id, contact_ids=[*ids, ids[0]])).added == 3
    assert (await book("AddListContacts", id=list_id, contact_ids=ids)).added == 0
    assert await on(book, list_id) == set(ids)
    assert {person.id for person in await book.book(list_id=list_id, q="6900000002")} == {ids[1]}
    assert (await book("RemoveListContacts", id=list_id, contact_ids=[ids[0], str(uuid.uuid4())])).removed == 1
    assert (await book("RemoveListContacts", id=list_id, contact_ids=[ids[0]])).removed == 0
    assert await on(book, list_id) == set(ids[1:])


async def test_a_list_s_contacts_go_by_pages(three: tuple[Client, list[str]]):
    book, ids = three
    list_id = await made(book)
    await book("AddListContacts", id=list_id, contact_ids=ids)
    seen, token = [], ""
    while True:
        page = await book("ListListContacts", id=list_id, page_size=2, page_token=token)
        seen += [person.id for person in page.contacts]
        if not (token := page.next_page_token):
            break
    assert seen == sorted(ids)


async def test_one_that_is_nobody_s_stops_all_of_them(three: tuple[Client, list[str]], other: Client):
    book, ids = three
    list_id = await made(book)
    foreign, unknown = (await other.create(FIRST)).id, str(uuid.uuid4())
    answer = await refused(book("AddListContacts", id=list_id, contact_ids=[ids[0], foreign, unknown]))
    assert answer == ("CONTACT_NOT_FOUND", {"field": "contact_ids", "id": foreign, "missing": "2"})
    assert await reason(book("AddListContacts", id=list_id, contact_ids=["me"])) == "CONTACT_NOT_FOUND"
    assert await reason(book("AddListContacts", id=list_id)) == "FIELD_REQUIRED"
    for verb in ("AddListContacts", "RemoveListContacts"):
        assert await reason(book(verb, id=list_id, contact_ids=[unknown] * 5_001)) == "TOO_MANY_CONTACTS"
    assert await on(book, list_id) == set()


async def test_another_merchant_s_list_is_not_found_by_any_call(three: tuple[Client, list[str]], other: Client):
    book, ids = three
    list_id = await made(book)
    await book("AddListContacts", id=list_id, contact_ids=ids)
    theirs = [(await other.create(FIRST)).id]
    for call in (
        other("GetList", id=list_id),
        other("UpdateList", list={"id": list_id, "name": "mine"}),
        other("DeleteList", id=list_id),
        other("ListListContacts", id=list_id),
        other("ListContacts", list_id=list_id),
        other("AddListContacts", id=list_id, contact_ids=theirs),
        other("RemoveListContacts", id=list_id, contact_ids=ids),
        book("GetList", id="7"),
        book("ListContacts", list_id="x\x00"),
    ):
        assert await reason(call) == "LIST_NOT_FOUND"
    assert await on(book, list_id) == set(ids)
    assert list((await other("ListLists")).lists) == []


async def test_a_contact_that_goes_leaves_its_lists(three: tuple[Client, list[str]]):
    book, ids = three
    list_id = await made(book)
    await book("AddListContacts", id=list_id, contact_ids=ids)
    await book("DeleteContact", id=ids[0])
    assert await on(book, list_id) == set(ids[1:])
    assert (await book("GetList", id=list_id)).contact_count == 2
    assert await book.count("list_contacts") == 2


async def test_adding_beside_removing_leaves_no_row_of_what_is_gone(three: tuple[Client, list[str]]):
    book, ids = three
    for _ in range(5):
        list_id = await made(book)
        person = await book.create("+306911111111")
        await asyncio.gather(
            book("AddListContacts", id=list_id, contact_ids=[*ids, person.id]),
            book("DeleteContact", id=person.id),
            book("AddListContacts", id=list_id, contact_ids=[*reversed(ids), person.id]),
            book("DeleteList", id=list_id),
            return_exceptions=True,
        )
        left = await book.rows(
            "SELECT 1 FROM list_contacts c WHERE merchant_id = :merchant_id AND (NOT EXISTS"
            " (SELECT FROM contacts WHERE id = c.contact_id) OR NOT EXISTS (SELECT FROM lists WHERE id = c.list_id))"
        )
        assert list(left) == []


async def test_five_thousand_in_one_call(book: Client):
    rows = "".join(f"+3069{number:08d}\n" for number in range(5_000))
    await book.imported(f"phone\n{rows}")
    list_id = await made(book)
    found = await book.rows("SELECT id FROM contacts WHERE merchant_id = :merchant_id")
    ids = [str(row.id) for row in found]
    assert (await book("AddListContacts", id=list_id, contact_ids=ids)).added == 5_000
    assert (await book("GetList", id=list_id)).contact_count == 5_000
    assert isinstance((await book.book(list_id=list_id))[0], pb.Contact)
