"""The export: what it writes is what the import reads, and no cell is a formula."""

import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from astronote.contacts.v1 import contacts_pb2 as pb
from services.contacts import formulas
from tests.contacts.client import Client


async def exported(book: Client) -> bytes:
    bodies = await book.stream("ExportContacts")
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


@given(st.text(alphabet="'=+-@\t\ra", max_size=6))
def test_a_cell_is_restored_as_it_was(cell: str):
    assert formulas.restored(formulas.defused(cell)) == cell
    assert formulas.defused(cell)[:1] not in tuple("=+-@\t\r") or not cell
