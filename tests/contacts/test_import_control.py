"""Imports in the hands of their merchant: listed, cancelled, and their rejected rows taken away and corrected."""

import csv
import hashlib
import io

import pytest

from astronote.contacts.v1 import contacts_pb2 as pb
from services.contacts import importing
from tests.contacts.client import Client, reason


async def test_imports_are_listed_the_latest_first(book: Client, other: Client):
    made = [
        (await book.imported(f"phone\n+30690000000{number}\n", file_name=f"{number}.csv")).id for number in range(3)
    ]
    await other.imported("phone\n+306900000001\n")
    first = await book("ListImports", page_size=2)
    rest = await book("ListImports", page_size=2, page_token=first.next_page_token)
    assert [item.id for item in (*first.imports, *rest.imports)] == made[::-1]
    assert not rest.next_page_token
    assert await reason(book("ListImports", page_token="eA")) == "PAGE_TOKEN_INVALID"


async def test_a_file_is_known_by_its_digest(book: Client):
    data = "phone\n+306900000001\n".encode("utf-16")
    assert (await book.imported(data)).sha256 == hashlib.sha256(data).hexdigest()


async def test_a_cancelled_import_stops(book: Client, other: Client, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("services.contacts.servicers.imports.WAIT_SECONDS", 0.0)
    monkeypatch.setattr(importing.sheet, "PAGE_ROWS", 100)
    rows = "".join(f"+3069{number:08}\n" for number in range(100_000))
    running = await book.upload("phone\n" + rows)
    assert await reason(other("CancelImport", id=running.id)) == "IMPORT_NOT_FOUND"
    cancelled = await book("CancelImport", id=running.id)
    assert cancelled.state == pb.Import.CANCELLED
    assert cancelled.finish_time.seconds
    assert await book.count("import_chunks") == 0
    # The job goes on to the next file, and nothing of this one comes in any more.
    assert (await other.imported("phone\n+306900000001\n")).created == 1
    assert await book.count("contacts") == cancelled.created < 100_000
    assert (await book("CancelImport", id=running.id)) == cancelled == await book("GetImport", id=running.id)


async def test_an_import_that_is_over_can_not_be_cancelled(book: Client):
    done = await book.imported("phone\n+306900000001\n")
    assert await reason(book("CancelImport", id=done.id)) == "IMPORT_OVER"
    assert await reason(book("CancelImport", id="x")) == "IMPORT_NOT_FOUND"


async def downloaded(book: Client, id: str) -> bytes:
    return b"".join(body.data for body in await book.stream("DownloadImportRejects", id=id))


async def test_rejected_rows_are_corrected_and_come_in(book: Client):
    file = (
        "Κινητό;Πελάτης;Σχόλια;email\n+306900000001;Άννα;a;\nbad;=Β;b;x@example.gr\n+306900000003;Γ;"
        f"{'c' * 2_000};no mail\n;;;z@example.gr\n+306900000005;Ε;d;;more\n"
    )
    done = await book.imported(file, columns=["firstName:Πελάτης"])
    assert (done.created, done.rejected) == (1, 4)
    data = (await downloaded(book, done.id)).decode("utf-8-sig")
    rows = list(csv.reader(io.StringIO(data)))
    assert rows[0] == [
        "import_row",
        "import_column",
        "import_reason",
        "phone",
        "first_name",
        "attributes.Σχόλια",
        "email",
    ]
    assert rows[1] == ["3", "Κινητό", "PHONE_INVALID", "bad", "'=Β", "b", "x@example.gr"]
    assert [row[:3] for row in rows[2:]] == [
        ["4", "Σχόλια", "ATTRIBUTE_TOO_LONG"],
        ["5", "Κινητό", "PHONE_MISSING"],
        ["6", "", "TOO_MANY_CELLS"],
    ]
    assert rows[4][3:] == ["'+306900000005", "Ε", "d", "", "more"]
    again = await book.imported(data.replace("bad", "+306900000002").replace("no mail", "").replace(",more", ""))
    assert (again.created, again.rejected) == (2, 2)
    assert {reason for *_, reason in await book.rejects(again.id)} == {"ATTRIBUTE_TOO_LONG", "PHONE_MISSING"}
    assert {person.first_name for person in await book.book()} == {"Άννα", "=Β", "Ε"}


async def test_nobody_elses_rejects_are_shown(book: Client, other: Client):
    done = await book.imported("phone\nbad\n")
    with pytest.raises(Exception, match="no such import"):
        await downloaded(other, done.id)
    assert b"PHONE_INVALID" in await downloaded(book, done.id)


@pytest.mark.parametrize("policy", [pb.ImportContactsRequest.SKIP, pb.ImportContactsRequest.UPDATE])
async def test_everybody_in_the_file_comes_onto_the_list(book: Client, other: Client, policy: int):
    there = await book.create("+306900000001")
    await book.create("+306900000009")
    made = await book("CreateList", list={"name": "Till"})
    file = "phone\n+306900000001\n+306900000002\n+306900000002\nbad\n"
    done = await book.imported(file, list_id=made.id, on_duplicate=policy)
    assert done.list_id == made.id
    listed = await book.book(list_id=made.id)
    assert {person.phone for person in listed} == {"+306900000001", "+306900000002"}
    assert there.id in {person.id for person in listed}
    assert (await book.imported(file, list_id=made.id)).skipped == 3
    assert await reason(other.upload(file, list_id=made.id)) == "LIST_NOT_FOUND"
    assert await reason(book.upload(file, list_id="x")) == "LIST_NOT_FOUND"
