"""The ledger of consents through its contract and in its database: nothing is lost, nothing is changed."""

import asyncio
import uuid

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from astronote.contacts.v1 import contacts_pb2 as pb
from astronote.contacts.v1.consents_pb2 import Consent
from deploy.local import provision
from deploy.local.provision import ROOT
from services.contacts import evidence
from services.contacts.servicers.consents import head, whole
from services.contacts.store import ContactsStore
from tests.contacts.client import Client, reason, refused

PHONE, OTHER_PHONE = "+306912345678", "+306987654321"
WORDING = "Θέλω να λαμβάνω προσφορές με SMS.\nΑκυρώνω όποτε θέλω."


async def exported(book: Client, contact_id: str = "") -> evidence.Evidence:
    return evidence.verified(await lines(book, contact_id))


async def lines(book: Client, contact_id: str = "") -> list[bytes]:
    bodies = await book.stream("ExportConsents", contact_id=contact_id)
    assert {body.content_type for body in bodies} == {"application/x-ndjson"}
    return b"".join(body.data for body in bodies).splitlines()


async def test_what_a_person_agreed_to_and_took_back_is_listed_with_its_proof(book: Client):
    person = pb.Contact(phone=PHONE)
    said = {"consent_source": "till", "consent_wording": WORDING, "legal_basis": Consent.SOFT_OPT_IN}
    person = await book("CreateContact", contact=person, **said)
    await book("WithdrawConsent", phone=PHONE, source="STOP")
    granted, withdrawn = (await book("ListConsents", contact_id=person.id)).consents
    assert (granted.event, granted.purpose, granted.legal_basis) == (
        Consent.GRANTED,
        Consent.MARKETING,
        Consent.SOFT_OPT_IN,
    )
    assert (granted.source, granted.wording, len(granted.wording_hash)) == ("till", WORDING, 64)
    assert (withdrawn.event, withdrawn.source, withdrawn.wording) == (Consent.WITHDRAWN, "STOP", "")
    assert withdrawn.previous_hash == granted.hash != withdrawn.hash
    assert granted.previous_hash == "0" * 64
    assert 0 <= withdrawn.create_time.ToNanoseconds() - granted.create_time.ToNanoseconds() < 60e9
    first = await book("ListConsents", contact_id=person.id, page_size=1)
    second = await book("ListConsents", contact_id=person.id, page_size=1, page_token=first.next_page_token)
    assert [*first.consents, *second.consents] == [granted, withdrawn]


async def test_consents_are_the_phones_and_outlive_the_contact(book: Client):
    person = await book.create(PHONE)
    moved = await book.update(person.id, phone=OTHER_PHONE)
    assert [each.event for each in (await book("ListConsents", contact_id=moved.id)).consents] == [Consent.GRANTED]
    await book("DeleteContact", id=person.id)
    again = await book.create(PHONE)
    assert [each.number for each in (await book("ListConsents", contact_id=again.id)).consents] == [1, 3]


async def test_a_statement_that_makes_no_sense_is_refused_with_its_field(book: Client):
    for field, value in (("consent_source", "x" * 101), ("consent_wording", "x" * 2001), ("legal_basis", 9)):
        call = book("CreateContact", contact=pb.Contact(phone=PHONE), **{field: value})
        answer, metadata = await refused(call)
        assert (answer, metadata["field"]) == ("CONSENT_INVALID", field)
    assert await book.book() == []


async def test_a_file_says_why_its_people_may_be_texted(book: Client):
    for phone, said, basis in (
        (PHONE, {"legal_basis": Consent.SOFT_OPT_IN}, Consent.SOFT_OPT_IN),
        (OTHER_PHONE, {}, Consent.CONSENT),
    ):
        assert (await book.imported(f"phone\n{phone}\n", **said)).legal_basis == basis
        (person,) = await book.book(q=phone)
        (granted,) = (await book("ListConsents", contact_id=person.id)).consents
        assert (granted.event, granted.legal_basis) == (Consent.GRANTED, basis)


async def test_evidence_of_all_and_of_one_holds(book: Client):
    assert (await exported(book)).head == (0, "0" * 64)
    file = "phone,first_name\n" + "".join(f"+3069000{number:05},Άννα\n" for number in range(7_000))
    await book.imported(file, consent_source="till", consent_wording=WORDING)
    someone = (await book.book(q="6900006543"))[0]
    await book("WithdrawConsent", phone=someone.phone, source="STOP")
    everything, one = await exported(book), await exported(book, someone.id)
    assert (len(everything.links), everything.people, one.people) == (3, 7_001, 2)
    evidence.hold(one, everything)
    # One of 5,000 is shown by a dozen hashes, not by the others.
    assert sum(map(len, await lines(book, someone.id))) < 6_000
    other = await book.create("+306911111111")
    assert (await exported(book, other.id)).people == 1


async def test_one_wording_is_kept_once(book: Client):
    for number in range(3):
        contact = pb.Contact(phone=f"+30690000000{number}")
        await book("CreateContact", contact=contact, consent_wording=WORDING)
    assert len(await book.ledger()) == 3
    assert await book.count("wordings") == 1


async def test_the_chain_has_no_fork_when_many_write_at_once(book: Client):
    file = "phone\n" + "".join(f"+3069100{number:05}\n" for number in range(6_000))
    phones = [f"+30690000{number:04}" for number in range(40)]
    await asyncio.gather(
        book.imported(file),
        *(book.create(phone) for phone in phones[:20]),
        *(book("WithdrawConsent", phone=phone, source="STOP") for phone in phones[20:]),
    )
    found = await exported(book)
    # Those who were created together are one link.
    assert 22 < len(found.links) <= 42
    assert found.people == 6_040


async def test_another_merchants_ledger_is_not_to_be_seen(book: Client, other: Client):
    person = await book.create(PHONE)
    assert await reason(other("ListConsents", contact_id=person.id)) == "CONTACT_NOT_FOUND"
    assert await reason(other.stream("ExportConsents", contact_id=person.id)) == "CONTACT_NOT_FOUND"
    assert await reason(book("ListConsents", contact_id="7")) == "CONTACT_NOT_FOUND"
    assert (await exported(other)).people == 0
    await other.create(PHONE)
    assert (await exported(other)).people == (await exported(book)).people == 1


@pytest.mark.parametrize("table", ["consents", "consent_people", "wordings"])
async def test_nobody_changes_the_ledger_not_even_its_owner(table: str, book: Client):
    await book("CreateContact", contact=pb.Contact(phone=PHONE), consent_wording=WORDING)
    assert len(await book.ledger()) == 1
    column = {"consents": "source = ''", "consent_people": "contact_id = NULL", "wordings": "text = ''"}[table]
    await book.nobody_may((f"UPDATE {table} SET {column}", f"DELETE FROM {table}", f"TRUNCATE {table}"))
    assert (await exported(book)).people == 1
    async with ContactsStore.open(book.mesh.app("contacts").database, str(uuid.uuid4())) as store:
        with pytest.raises(DBAPIError, match="row-level security"):
            await store.connection.execute(
                text("INSERT INTO wordings (merchant_id, hash, text) VALUES (:merchant_id, '', '')"),
                {"merchant_id": book.merchant_id},
            )


async def test_consents_from_before_the_chain_are_carried_into_it(postgres, merchant_id: str):
    passwords = dict.fromkeys(provision.role_names(("contacts",)), "test")
    made = provision.provision(postgres.url(), ["contacts"], passwords, "ledger_")["contacts"]
    config = Config(str(ROOT / "alembic.ini"), ini_section="contacts")
    config.attributes["url"] = made.owner_url
    command.upgrade(config, "0001")
    insert = """
        INSERT INTO consents (merchant_id, contact_id, phone_hash, event, source, wording, create_time)
        SELECT %s, gen_random_uuid(), decode(lpad(to_hex(number), 32, '0'), 'hex'), %s, 'import', %s, %s
        FROM generate_series(1, %s) AS number
    """
    with psycopg.connect(made.pipeline_url.replace("+psycopg", "")) as connection:
        for merchant in (merchant_id, str(uuid.uuid4())):
            connection.execute(insert, [merchant, "GRANTED", WORDING, "2026-01-01", 7_000])
            connection.execute(insert, [merchant, "WITHDRAWN", "", "2026-01-02", 1])
    command.upgrade(config, "head")
    engine = create_async_engine(made.pipeline_url)
    async with engine.connect() as connection:
        store = ContactsStore(connection, merchant_id)
        store.driver = (await connection.get_raw_connection()).driver_connection
        found = evidence.verified([await head(store), *[line async for line in whole(store)]])
    await engine.dispose()
    assert (len(found.links), found.people) == (3, 7_001)
