"""Files as programs and people write them: encodings, delimiters, headers, and what the caller says of the columns."""

import pytest

from astronote.contacts.v1 import contacts_pb2 as pb
from services.contacts.columns import Mapping
from services.contacts.decoding import SAMPLE_BYTES, Decoder
from services.contacts.upload import Upload, found
from tests.contacts.client import Client, refused

GREEK = "Κινητό,Όνομα,Πόλη\r\n6912345678,Μαρία Ώτα,Αθήνα\r\n6912345679,Ίων,Πάτρα\r\n"


@pytest.mark.parametrize(
    ("encoding", "found"),
    [
        ("utf-8", "utf-8"),
        ("utf-8-sig", "utf-8"),
        ("utf-16", "utf-16-le"),
        ("utf-16-le", "utf-16-le"),
        ("utf-16-be", "utf-16-be"),
        ("cp1253", "cp1253"),
    ],
)
@pytest.mark.parametrize("piece_bytes", [7, 256 * 1024])
async def test_every_encoding_that_greek_spreadsheets_write(book: Client, encoding: str, found: str, piece_bytes: int):
    done = await book.over(await book.upload(GREEK.replace("6912", "+306912").encode(encoding), piece_bytes))
    assert (done.state, done.encoding, done.created) == (pb.Import.DONE, found, 2)
    names = {person.first_name: dict(person.attributes) for person in await book.book()}
    assert names == {"Μαρία Ώτα": {"Πόλη": "Αθήνα"}, "Ίων": {"Πόλη": "Πάτρα"}}


@pytest.mark.parametrize("encoding", ["utf-8", "cp1253"])
@pytest.mark.parametrize("before", [0, 1, SAMPLE_BYTES - 1, SAMPLE_BYTES, SAMPLE_BYTES + 1, 100_000])
@pytest.mark.parametrize("piece_bytes", [1000, 1_000_000])
def test_the_first_greek_letter_may_come_late(encoding: str, before: int, piece_bytes: int):
    text = "a" * before + "Παπαδοπούλου"
    data, decoder = text.encode(encoding), Decoder()
    pieces = [decoder.decode(data[begin : begin + piece_bytes]) for begin in range(0, len(data), piece_bytes)]
    assert "".join(pieces) + decoder.decode(b"", is_last=True) == text
    assert decoder.encoding == encoding


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
async def test_every_delimiter(book: Client, delimiter: str):
    rows = [["phone", "first name", "note"], ["+306912345678", "Μαρία", '"a, b; c | d"'], ["+306912345679", "", "e"]]
    done = await book.imported("\n".join(delimiter.join(row) for row in rows))
    assert [column.field for column in done.columns] == ["phone", "first_name", "attributes.note"]
    assert {person.attributes["note"] for person in await book.book()} == {"a, b; c | d", "e"}


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        # Exports of Google, Outlook, Shopify, and of tills.
        (
            "Name,Given Name,Family Name,Birthday,E-mail 1 - Value,Phone 1 - Value",
            "attributes.Name,first_name,last_name,birthday,email,phone",
        ),
        (
            "First Name,Last Name,E-mail Address,Mobile Phone,Home Phone",
            "first_name,last_name,email,phone,attributes.Home Phone",
        ),
        ("ΟΝΟΜΑ,ΕΠΙΘΕΤΟ,ΤΗΛΕΦΩΝΟ,ΚΙΝΗΤΟ", "first_name,last_name,attributes.ΤΗΛΕΦΩΝΟ,phone"),
        ("Αρ. Κινητού,Ημ/νία Γέννησης,Φύλο,Ζώνη ώρας", "phone,birthday,gender,time_zone"),
        ("tel,name,dob,sex,tag", "phone,first_name,birthday,gender,tags"),
        ("phone,,City ,attributes.gender", "phone,,attributes.City,attributes.gender"),
    ],
)
def test_usual_headers_are_understood(header: str, expected: str):
    assert found(header + "\n1,2\n", Mapping(), is_whole=True).header.columns == expected.split(",")


async def test_a_header_may_stand_below_titles(book: Client):
    file = "Πελατολόγιο 2026;;\n;;\nΚινητό;Όνομα;Πόλη\n+306912345678;Μαρία;Αθήνα\nbad;x;y\n"
    done = await book.imported(file)
    assert (done.created, done.rejected, done.rows) == (1, 1, 2)
    assert await book.rejects(done.id) == [(5, "Κινητό", "bad", "PHONE_INVALID")]


async def test_the_caller_says_what_columns_mean(book: Client):
    file = "Επικοινωνία,Τηλέφωνο,Πελάτης,Σχόλια,Έδρα\n+306912345678,+302101234567,Μαρία,x,Αθήνα\n"
    columns = ["phone:επικοινωνια", "firstName:3", "ignore:Σχόλια", "attributes.city:Έδρα"]
    done = await book.imported(file, columns=columns)
    assert [(column.header, column.field) for column in done.columns] == [
        ("Επικοινωνία", "phone"),
        ("Τηλέφωνο", "attributes.Τηλέφωνο"),
        ("Πελάτης", "first_name"),
        ("Σχόλια", ""),
        ("Έδρα", "attributes.city"),
    ]
    (maria,) = await book.book()
    assert (maria.phone, maria.first_name) == ("+306912345678", "Μαρία")
    assert dict(maria.attributes) == {"Τηλέφωνο": "+302101234567", "city": "Αθήνα"}


async def test_a_file_without_a_header_is_read_by_numbers(book: Client):
    done = await book.imported("Μαρία|x|+306912345678\nΝίκος|y|bad\n", columns=["phone:3", "first_name:1"])
    assert (done.created, done.rows) == (1, 2)
    assert [person.first_name for person in await book.book()] == ["Μαρία"]
    assert await book.rejects(done.id) == [(2, "3", "bad", "PHONE_INVALID")]


@pytest.mark.parametrize(
    ("columns", "reason", "metadata"),
    [
        (["phone"], "IMPORT_INVALID", {"field": "columns", "value": "phone"}),
        (["phone:"], "IMPORT_INVALID", {"field": "columns"}),
        (["fax:Fax"], "IMPORT_INVALID", {"field": "columns", "value": "fax:Fax"}),
        (["attributes.:Fax"], "IMPORT_INVALID", {"problem": "INVALID"}),
        (["email:Fax"], "HEADER_INVALID", {"field": "columns", "column": "Fax", "found": "phone, note, note"}),
        (["email:4"], "HEADER_INVALID", {"column": "4"}),
        (["email:0"], "HEADER_INVALID", {"column": "0"}),
        (["email:note"], "DUPLICATE_COLUMN", {"column": "note", "needed": "its number"}),
        (["email:2", "email:3"], "DUPLICATE_COLUMN", {"means": "email"}),
        (["ignore:phone"], "HEADER_INVALID", {"field": "body"}),
        (["phone:5"], "HEADER_INVALID", {"field": "body"}),
    ],
)
async def test_a_column_that_is_not_there_is_refused(
    book: Client, columns: list[str], reason: str, metadata: dict[str, str]
):
    found, details = await refused(book.upload("phone,note,note\n+306912345678,a,b\n", columns=columns))
    assert found == reason
    assert metadata.items() <= details.items()
    assert await book.count("imports") == 0


async def test_an_import_says_what_file_it_is_of(book: Client):
    data = b"phone\n+306912345678\n"
    done = await book.imported(data, file_name="πελάτες.csv", consent_source="till", consent_wording="Ναι")
    assert (done.file_name, done.consent_source, done.consent_wording) == ("πελάτες.csv", "till", "Ναι")
    assert done.read_bytes == done.size_bytes == len(b"+306912345678\n")


def test_what_is_stored_are_the_rows_in_utf8():
    upload = Upload(Mapping())
    assert upload.take(GREEK.encode("utf-16")) == []
    assert b"".join(upload.end()) == GREEK.split("\r\n", 1)[1].encode()
    assert (upload.rows, upload.encoding) == (2, "utf-16-le")
