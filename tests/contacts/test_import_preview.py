"""What an import would do, before it does anything."""

from typing import Any

import pytest

from astronote.contacts.v1 import contacts_pb2 as pb
from services.contacts import previewing
from tests.contacts.client import Client, books, reason
from tests.contacts.test_spreadsheets import with_rows

TABLES = ("imports", "import_chunks", "import_rejects", "contacts", "consents", "suppressions")
FILE = (
    "Πελάτες Μαΐου\n\nΚινητό;Πελάτης;Πόλη;Φύλο\n+306900000001;Άννα;Βόλος;γυναίκα\n+306900000002;Β;;άνδρας\n"
    "+306900000002;Γ;;\nbad;Δ;;\n;;;\n+306900000003;Ε;;?\n+306900000004;Ζ;;\n"
)


async def previewed(book: Client, file: bytes | str, **parameters: Any) -> pb.Import:
    before = [await book.count(table) for table in TABLES]
    found = await book.upload(file, validate_only=True, **parameters)
    assert [await book.count(table) for table in TABLES] == before
    assert (found.id, found.HasField("create_time")) == ("", False)
    return found


async def test_a_preview_shows_what_the_columns_are_and_what_comes_in(book: Client):
    await book.create("+306900000004", first_name="Ήδη")
    await book("WithdrawConsent", phone="+306900000001", source="STOP")
    parameters: dict[str, Any] = {"file_name": "Μάιος.csv", "columns": ["firstName:Πελάτης"], "consent_source": "till"}
    found = await previewed(book, FILE, **parameters)
    assert [(column.header, column.field) for column in found.columns] == [
        ("Κινητό", "phone"),
        ("Πελάτης", "first_name"),
        ("Πόλη", "attributes.Πόλη"),
        ("Φύλο", "gender"),
    ]
    assert books(found) == (6, 2, 0, 2, 2)
    assert (found.encoding, found.rows, found.read_bytes) == ("utf-8", 7, found.size_bytes)
    assert [(each.phone, each.first_name, each.subscription) for each in found.contacts] == [
        ("+306900000001", "Άννα", pb.Contact.UNSUBSCRIBED),
        ("+306900000002", "Β", pb.Contact.SUBSCRIBED),
        ("+306900000004", "Ζ", pb.Contact.SUBSCRIBED),
    ]
    assert (found.contacts[0].gender, dict(found.contacts[0].attributes)) == (pb.Contact.FEMALE, {"Πόλη": "Βόλος"})
    assert [(each.row, each.column, each.value, each.reason) for each in found.rejects] == [
        (7, "Κινητό", "bad", "PHONE_INVALID"),
        (9, "Φύλο", "?", "GENDER_INVALID"),
    ]
    # The import does what was shown.
    done = await book.imported(FILE, **parameters)
    assert books(done) == books(found)
    for field in ("columns", "sha256", "encoding", "rows", "size_bytes", "file_name", "on_duplicate", "legal_basis"):
        assert getattr(done, field) == getattr(found, field), field
    assert await book.rejects(done.id) == [(each.row, each.column, each.value, each.reason) for each in found.rejects]


async def test_of_a_large_file_all_is_looked_at_and_its_beginning_is_read(book: Client):
    rows = "".join(f"+3069{number:08},{'x' * 100}\n" for number in range(20_000))
    found = await previewed(book, "phone,note\n" + rows, on_duplicate=pb.ImportContactsRequest.UPDATE)
    assert (found.rows, found.size_bytes) == (20_000, len(rows))
    assert books(found) == (5_000, 5_000, 0, 0, 0)
    assert found.read_bytes == len(rows) // 4
    assert len(found.contacts) == previewing.CONTACTS_MAX
    bad = await previewed(book, "phone\n" + "x\n" * 1_000)
    assert (bad.rejected, len(bad.rejects)) == (1_000, previewing.REJECTS_MAX)
    # What is wrong behind the beginning is refused all the same.
    assert (
        await reason(book.upload(f"phone,note\n{rows}".encode() + b"\xff\n", validate_only=True)) == "ENCODING_INVALID"
    )


async def test_a_spreadsheet_is_previewed_as_it_would_be_imported(book: Client):
    rows = [["Phone", "Name"], ["+306900000001", "Μαρία"], ["x", "y"]]
    cells = [[f'<c t="inlineStr"><is><t>{cell}</t></is></c>' for cell in row] for row in rows]
    found = await previewed(book, with_rows("".join(f"<row>{''.join(row)}</row>" for row in cells)))
    assert (books(found), found.contacts[0].first_name) == ((2, 1, 0, 0, 1), "Μαρία")


@pytest.mark.parametrize(
    ("file", "parameters", "answer"),
    [
        ("", {}, "IMPORT_EMPTY"),
        ("phone\n", {}, "IMPORT_EMPTY"),
        ("name\nx\n", {}, "HEADER_INVALID"),
        ("phone\n1\n", {"list_id": "x"}, "LIST_NOT_FOUND"),
        ("phone\n1\n", {"on_duplicate": 7}, "IMPORT_INVALID"),
        ("phone\n1\n", {"columns": ["shoe:1"]}, "IMPORT_INVALID"),
        # Accounts knows of no such merchant, and so of no country.
        ("phone\n6900000001\n", {}, "ACCOUNTS_UNAVAILABLE"),
    ],
)
async def test_a_preview_is_refused_as_the_import_would_be(
    book: Client, file: str, parameters: dict[str, Any], answer: str
):
    assert await reason(book.upload(file, validate_only=True, **parameters)) == answer


async def test_what_can_not_be_read_says_so(book: Client):
    found = await previewed(book, 'phone,x\n"' + "1\n" * 100)
    assert (found.state, found.failure) == (pb.Import.FAILED, "Row 2: its quote is never closed.")
    assert [column.field for column in found.columns] == ["phone", "attributes.x"]
