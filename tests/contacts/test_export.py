"""The export: what it writes is what the import reads, and no cell is a formula."""

import csv
import io
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astronote.contacts.v1 import contacts_pb2 as pb
from services.contacts import columns, export, formulas
from services.contacts.columns import Mapping
from services.contacts.rows import Reader
from services.contacts.sheet import page as read_page
from services.contacts.upload import Upload
from tests.contacts.client import Client


async def exported(book: Client, **filters: Any) -> bytes:
    bodies = await book.stream("ExportContacts", **filters)
    assert {body.content_type for body in bodies} == {"text/csv; charset=utf-8"}
    return b"".join(body.data for body in bodies)


async def test_an_exported_book_comes_back_as_it_was(book: Client, other: Client):
    await book.create(
        "+306900000001",
        email="a@example.gr",
        first_name="=HYPERLINK(1)",
        last_name='Ο "Κώστας", Μ.',
        gender=pb.Contact.OTHER,
        birthday="1990-02-28",
        language="el",
        time_zone="Europe/Athens",
        tags=["vip", "καφές"],
        attributes={"city": "Αθήνα;\nΚέντρο", "phone": "@home", "note": "'=1", "attributes.x": "+", "=a": "b"},
    )
    await book.create("+306900000002", subscription=pb.Contact.UNSUBSCRIBED)
    await book.create("+306900000003", first_name="-")
    data = await exported(book)
    rows = list(csv.reader(io.StringIO(data.decode("utf-8-sig"))))
    assert rows[0][:10] == [
        "phone", "email", "first_name", "last_name", "gender", "birthday", "language", "time_zone", "tags",
        "subscription",
    ]  # fmt: skip
    cells = [cell for row in rows for cell in row[1:]]
    assert not [cell for cell in cells if cell[:1] in tuple("=+-@\t")]
    done = await other.imported(data)
    assert (done.created, done.rejected) == (3, 0)

    def bare(person: pb.Contact) -> pb.Contact:
        for field in ("id", "create_time", "update_time"):
            person.ClearField(field)
        return person

    before = sorted(map(bare, await book.book()), key=lambda person: person.phone)
    assert sorted(map(bare, await other.book()), key=lambda person: person.phone) == before


async def test_a_large_book_comes_in_pieces(book: Client):
    rows = "".join(f"+3069{number:08},{'x' * 90}\n" for number in range(3_000))
    await book.imported("phone,name\n" + rows)
    bodies = await book.stream("ExportContacts")
    assert len(bodies) > 3
    assert all(len(body.data) < 512 * 1024 for body in bodies)
    assert b"".join(body.data for body in bodies).count(b"\n") == 3_001


async def test_an_empty_book_is_a_header(book: Client):
    assert (await exported(book)).decode("utf-8-sig").startswith("phone,email,")


async def test_a_part_of_the_book(book: Client, other: Client):
    made = await book("CreateList", list={"name": "Till"})
    await book.imported("phone,name,tags\n+306900000001,Άννα,vip\n+306900000002,Βασίλης,\n", list_id=made.id)
    await book.create("+306900000003", first_name="Άννα", subscription=pb.Contact.UNSUBSCRIBED)

    async def phones(**filters: Any) -> list[str]:
        rows = list(csv.DictReader(io.StringIO((await exported(book, **filters)).decode("utf-8-sig"))))
        return [row["phone"][-1] for row in rows]

    assert await phones() == ["1", "2", "3"]
    assert await phones(q="αννα") == ["1", "3"]
    assert await phones(tag="vip") == ["1"]
    assert await phones(list_id=made.id) == ["1", "2"]
    assert await phones(q="αννα", subscription=pb.Contact.UNSUBSCRIBED) == ["3"]
    with pytest.raises(Exception, match="no such list"):
        await exported(other, list_id=made.id)
    with pytest.raises(Exception, match="not of its form"):
        await exported(book, tag="\x00")


async def test_a_name_that_looks_like_an_error_comes_back(book: Client, other: Client):
    await book.create("+306900000001", first_name="#VALUE!", last_name="'#N/A")
    await other.imported(await exported(book))
    (person,) = await other.book()
    assert (person.first_name, person.last_name) == ("#VALUE!", "'#N/A")


TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=30)
NAME = TEXT.map(lambda text: " ".join(text.split())).filter(str.isprintable)
PERSON = st.fixed_dictionaries(
    {
        "first_name": NAME,
        "last_name": NAME,
        "gender": st.sampled_from(pb.Contact.Gender.values()),
        "birthday": st.dates(date(1900, 1, 1), date(2026, 1, 1)).map(str) | st.just(""),
        "email": st.sampled_from(["", "=a@example.gr", "a@b.gr"]),
        "tags": st.lists(NAME.filter(lambda tag: tag and not set(tag) & set(",;|")), unique=True, max_size=3),
        "attributes": st.dictionaries(
            NAME.filter(lambda name: name and name not in columns.REJECT_COLUMNS),
            (TEXT | st.sampled_from(["=1", "'=1", "''+", "-", "a\r\nb", '"', "\ta"])).map(str.strip).filter(bool),
            max_size=4,
        ),
        "subscription": st.sampled_from([pb.Contact.SUBSCRIBED, pb.Contact.UNSUBSCRIBED]),
    }
)


@given(st.lists(PERSON, min_size=1, max_size=5))
@settings(deadline=None)
def test_whatever_is_exported_is_read_as_it_was(people: list[dict[str, Any]]):
    names = sorted({name for person in people for name in person["attributes"]})
    sheet, book = export.BookSheet(names), {}
    for number, person in enumerate(people):
        book[f"+30690000000{number}"] = person
        sheet.write(pb.Contact(phone=f"+30690000000{number}", **person))
    upload = Upload(Mapping())
    assert upload.take(sheet.taken()) == []
    rows = b"".join(upload.end())
    assert upload.found
    header = upload.found.header
    reader = Reader(header, country="GR", today=date(2026, 1, 1), is_update=False)
    page = read_page(rows, 2, header.delimiter, reader, is_last=True)
    assert not page.rejects
    assert page.people == {phone: read_as(phone, person) for phone, person in book.items()}


def read_as(phone: str, person: dict[str, Any]) -> dict[str, Any]:
    """The filled cells, by column."""
    cells = {field: value for field, value in person.items() if field != "attributes" and value}
    cells["subscription"] = pb.Contact.Subscription.Name(person["subscription"])
    if "gender" in cells:
        cells["gender"] = pb.Contact.Gender.Name(person["gender"])
    return {"phone": phone} | cells | {f"attributes.{name}": value for name, value in person["attributes"].items()}


@given(st.text(alphabet="'=+-@\t\ra", max_size=6))
def test_a_cell_is_restored_as_it_was(cell: str):
    assert formulas.restored(formulas.defused(cell)) == cell
    assert formulas.defused(cell)[:1] not in tuple("=+-@\t\r") or not cell
