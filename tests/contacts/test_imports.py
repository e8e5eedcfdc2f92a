"""Imports over a real channel and a real database: what comes in, and what is refused."""

import hashlib
from typing import Any

import pytest

from astronote.contacts.v1 import contacts_pb2 as pb
from tests.contacts.client import Client, books, numbers, reason, refused, requests

SKIP, UPDATE = pb.ImportContactsRequest.SKIP, pb.ImportContactsRequest.UPDATE


async def test_a_greek_file_comes_in_whole(book: Client):
    file = (
        "\ufeffΚινητό;Όνομα;ΕΠΩΝΥΜΟ;e-mail;Φύλο;Γενέθλια;Γλώσσα;Ετικέτες;Πόλη;\r\n"
        '+30 691 234 5678;Μαρία;"Παπαδοπούλου; Νίκου";MARIA@example.gr;Γυναίκα;28/2/1990;el;vip, καφές|νέα;Αθήνα;\r\n'
        '\r\n00306987654321;Γιάννης;;;άνδρας;1985-12-01;;;"δύο\r\nγραμμές \\ ""εισαγωγικά""";\r\n'
        ";;;;;;;;;\r\n"
    )
    wording = "Θέλω μηνύματα\nμε προσφορές"
    done = await book.imported(file, file_name="till.csv", consent_source="till", consent_wording=wording)
    assert done.state == pb.Import.DONE
    assert done.finish_time.seconds > 0
    assert books(done) == (2, 2, 0, 0, 0)
    maria, yannis = sorted(await book.book(), key=lambda person: person.phone)
    assert (maria.phone, maria.first_name, maria.last_name) == ("+306912345678", "Μαρία", "Παπαδοπούλου; Νίκου")
    assert (maria.gender, maria.birthday, maria.language) == (pb.Contact.FEMALE, "1990-02-28", "el")
    assert (list(maria.tags), dict(maria.attributes)) == (["vip", "καφές", "νέα"], {"Πόλη": "Αθήνα"})
    assert maria.subscription == pb.Contact.SUBSCRIBED
    assert (yannis.gender, yannis.birthday) == (pb.Contact.MALE, "1985-12-01")
    assert dict(yannis.attributes) == {"Πόλη": 'δύο\r\nγραμμές \\ "εισαγωγικά"'}
    assert await book.book(q="γιαννης") == [yannis]
    assert len(await book.ledger()) == 1
    consents = await book.rows(
        "SELECT contact_id, event, source, text FROM consents JOIN consent_people USING (merchant_id, number)"
        " JOIN wordings ON wordings.merchant_id = consents.merchant_id AND wordings.hash = wording_hash"
        " WHERE consents.merchant_id = :merchant_id ORDER BY contact_id"
    )
    source = f"till; till.csv; sha256:{hashlib.sha256(file.encode()).hexdigest()}"
    expected = [(person.id, "GRANTED", source, wording) for person in (maria, yannis)]
    assert [(str(row[0]), *row[1:]) for row in consents] == sorted(expected)
    assert await book.count("import_chunks") == 0


async def test_bad_rows_are_rejected_by_themselves(book: Client):
    rows = [
        "phone,first_name,email,gender,birthday,tags,city",
        "+306912345678,fine,,,,,",
        "+3069123,short,,,,,",
        ",nobody,,,,,",
        "+306912345679," + "x" * 10_000 + ",,,,,",
        "+306912345680,,no mail,,,,",
        "+306912345681,,,sometimes,,,",
        "+306912345682,,,,31/2/1990,,",
        "+306912345683,,,,," + "t" * 51 + ",",
        "+306912345684,,,,,," + "y" * 10_000,
        "+306912345685,,,,,,z,more",
        "call me,,,,,,",
        "+306912345686",
        '"=""+306912345687""",,,,,,',
        "+30 (0) 0",
    ]
    done = await book.imported("\n".join(rows))
    assert (done.state, books(done)) == (pb.Import.DONE, (14, 3, 0, 0, 11))
    assert await book.rejects(done.id) == [
        (3, "phone", "+3069123", "PHONE_INVALID"),
        (4, "phone", "", "PHONE_MISSING"),
        (5, "first_name", "x" * 100, "FIRST_NAME_TOO_LONG"),
        (6, "email", "no mail", "EMAIL_INVALID"),
        (7, "gender", "sometimes", "GENDER_INVALID"),
        (8, "birthday", "31/2/1990", "BIRTHDAY_INVALID"),
        (9, "tags", "t" * 51, "TAGS_TOO_LONG"),
        (10, "city", "y" * 100, "ATTRIBUTE_TOO_LONG"),
        (11, "", "more", "TOO_MANY_CELLS"),
        (12, "phone", "call me", "PHONE_INVALID"),
        (15, "phone", "+30 (0) 0", "PHONE_INVALID"),
    ]
    page = await book("ListImportRejects", id=done.id, page_size=10)
    assert len(page.rejects) == 10
    page = await book("ListImportRejects", id=done.id, page_size=10, page_token=page.next_page_token)
    assert [reject.row for reject in page.rejects] == [15]
    assert await reason(book("ListImportRejects", id=done.id, page_token="LTE")) == "PAGE_TOKEN_INVALID"


@pytest.mark.parametrize(
    ("tail", "failure"),
    [
        ('+306900000007,"never closed\n' + numbers(3), "Row 4: its quote is never closed."),
        ('+306900000007,"never closed\n' + numbers(30_000), "Row 4: a cell is longer than 131,072 characters"),
        ("+306900000007," + "x" * 200_000 + "\n" + numbers(3), "Row 4: a cell is longer than 131,072 characters"),
        ("+306900000007" + ",x" * 600_000 + "\n" + numbers(3), "Row 4: it is longer than 1 MiB"),
        (("+306900000007" + ',"' + "x\n" * 60_000 + '"' * 1) * 1 + "," + '"x\n"' * 400_000, "Row 4: "),
    ],
)
async def test_a_file_that_can_not_be_read_on_fails_with_the_row(book: Client, tail: str, failure: str):
    done = await book.imported("phone,note\n+306900000001,a\n+306900000002,b\n" + tail)
    assert done.state == pb.Import.FAILED
    assert done.failure.startswith(failure)
    assert books(done) == (2, 2, 0, 0, 0)
    assert await book.count("import_chunks") == 0


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
async def test_every_line_end_and_odd_characters(book: Client, end: str):
    file = end.join(["tel\tname", "+306900000001\ta\u2028b", "", "+306900000002\tc\x0cd", "+306900000003\t'=1"])
    assert books(await book.imported(file, piece_bytes=3)) == (3, 3, 0, 0, 0)
    assert {person.first_name for person in await book.book()} == {"a b", "c d", "=1"}


async def test_duplicates_are_skipped(book: Client):
    await book.create("+306900000001", first_name="Kept", tags=["old"])
    file = "phone,name\n+306900000001,New\n+306900000002,First\n0030 690 0000002,Second\n"
    assert books(await book.imported(file)) == (3, 1, 0, 2, 0)
    assert {person.first_name for person in await book.book()} == {"Kept", "First"}
    assert books(await book.imported(file, on_duplicate=SKIP)) == (3, 0, 0, 3, 0)


async def test_duplicates_are_updated_with_the_filled_cells(book: Client):
    await book.create(
        "+306900000001", first_name="Old", last_name="Stays", tags=["old"], attributes={"a": "1", "b": "2"}
    )
    file = (
        "phone,name,last name,birthday,tags,b,c\n"
        "+306900000001,Νέα,,1990-01-01,,3,4\n"
        "+306900000002,First,Kept,,x,,\n"
        "+306900000002,Second,,,y,5,\n"
    )
    assert books(await book.imported(file, on_duplicate=UPDATE)) == (3, 1, 2, 0, 0)
    first, second = sorted(await book.book(), key=lambda person: person.phone)
    assert (first.first_name, first.last_name, first.birthday) == ("Νέα", "Stays", "1990-01-01")
    assert (list(first.tags), dict(first.attributes)) == (["old"], {"a": "1", "b": "3", "c": "4"})
    assert (second.first_name, second.last_name, list(second.tags)) == ("Second", "Kept", ["y"])
    assert dict(second.attributes) == {"b": "5"}
    assert [person.phone for person in await book.book(q="νεα stays")] == ["+306900000001"]
    # A row that updates is a consent as well as one that creates.
    assert [said["people_count"] for said in await book.ledger()] == [1, 2]


async def test_an_opt_out_survives_deletion_and_import_under_both_policies(book: Client):
    person = await book.create("+306900000001")
    await book("WithdrawConsent", phone=person.phone, source="STOP")
    await book("DeleteContact", id=person.id)
    file = "phone,name\n+306900000001,Back\n+306900000002,New\n"
    assert books(await book.imported(file)) == (2, 2, 0, 0, 0)
    assert books(await book.imported(file, on_duplicate=UPDATE)) == (2, 0, 2, 0, 0)
    state = {person.phone: person.subscription for person in await book.book()}
    assert state == {"+306900000001": pb.Contact.UNSUBSCRIBED, "+306900000002": pb.Contact.SUBSCRIBED}
    assert [member.phone for member in await book.audience()] == ["+306900000002"]
    # A grant is only noted where there is one.
    events = [said["event"] for said in await book.ledger()]
    assert events == ["GRANTED", "WITHDRAWN", "GRANTED", "GRANTED"]


@pytest.mark.parametrize("policy", [SKIP, UPDATE])
async def test_a_file_may_bring_opt_outs_along(book: Client, policy: int):
    await book.create("+306900000001")
    file = (
        "phone,subscription\n+306900000001,unsubscribed\n+306900000002,UNSUBSCRIBED\n+306900000003,\n+306900000004,?\n"
    )
    done = await book.imported(file + "+306900000003,unsubscribed\n", on_duplicate=policy)
    assert (done.received, done.created, done.rejected) == (5, 2, 1)
    assert {person.subscription for person in await book.book()} == {pb.Contact.UNSUBSCRIBED}
    assert await book.count("suppressions") == 3
    assert not (await book("WithdrawConsent", phone="+306900000003", source="STOP")).changed


async def test_parameters_are_bounded(book: Client):
    file = "phone\n+306900000001\n"
    for field in ("on_duplicate", "legal_basis"):
        answer, metadata = await refused(book.upload(file, **{field: 7}))
        assert (answer, metadata["field"]) == ("IMPORT_INVALID", field)
    assert await reason(book.upload(file, consent_source="x" * 101)) == "IMPORT_INVALID"
    assert await reason(book.upload(file, consent_wording="\x00")) == "IMPORT_INVALID"
    assert await reason(await book.call("ImportContacts", requests([]))) == "IMPORT_EMPTY"


async def test_a_stream_that_ends_without_an_empty_piece_was_broken_off(book: Client):
    async def broken() -> Any:
        yield pb.ImportContactsRequest(body={"data": b"phone\n+306900000001\n"})

    assert await reason(await book.call("ImportContacts", broken())) == "IMPORT_BROKEN_OFF"
    assert await book.count("imports") == await book.count("import_chunks") == 0
