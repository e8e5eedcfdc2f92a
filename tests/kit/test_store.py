"""A merchant's transaction shows that merchant's rows, also where it is one statement."""

import uuid
from collections.abc import AsyncIterator
from datetime import UTC
from itertools import combinations
from typing import Any

import psycopg
import pytest
from sqlalchemy import URL, text
from sqlalchemy.engine import make_url

from astronote.contacts.v1.contacts_pb2 import Contact
from deploy.local.postgres import Postgres
from kit.store import ADAPTERS, Database
from services.contacts.errors import ContactNotFound
from services.contacts.store import ContactsStore
from services.contacts.store.contacts import ORDERS, Filter, Order
from tests.conftest import TestMesh
from tests.contacts.client import Client

FILTERS = (
    Filter(),
    Filter(patterns=("%ana%",)),
    Filter(patterns=("%an%", "%69%"), subscription=Contact.SUBSCRIBED),
    Filter(tag="vip"),
)
# In pairs and all together: what is left are the plans that nobody would choose.
SWITCHES = ("nestloop", "hashjoin", "mergejoin", "indexscan", "bitmapscan", "seqscan", "sort", "material")


@pytest.fixture
async def database(mesh: TestMesh) -> AsyncIterator[Database]:
    await mesh.service("contacts")
    database = Database(mesh.app("contacts").settings, "contacts")
    yield database
    await database.close()


@pytest.fixture
async def person(mesh: TestMesh, merchant_id: str) -> Contact:
    found: Contact = await Client(mesh, merchant_id)(
        "CreateContact", contact=Contact(phone="+306912345678", first_name="Ana", tags=["vip"])
    )
    return found


def plain(url: URL) -> str:
    """As the driver takes it."""
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


async def test_a_read_shows_what_is_the_merchants_and_leaves_nothing_behind(
    database: Database, person: Contact, merchant_id: str
) -> None:
    assert await ContactsStore.read(database, merchant_id, lambda store: store.contact(person.id)) == person
    with pytest.raises(ContactNotFound):
        await ContactsStore.read(database, str(uuid.uuid4()), lambda store: store.contact(person.id))
    async with database.merchants.connect() as connection:
        left = text("SELECT current_setting('astronote.merchant_id', true), count(*) FROM contacts")
        assert (await connection.execute(left)).one() == ("", 0)


@pytest.mark.parametrize("off", [(), *combinations(SWITCHES, 2), SWITCHES], ids=" ".join)
async def test_a_read_finds_the_same_by_every_plan(
    mesh: TestMesh, database: Database, person: Contact, merchant_id: str, off: tuple[str, ...]
) -> None:
    book = Client(mesh, merchant_id)
    people = [person, await book.create("+306912345679", first_name="Anabel", tags=["vip"])]
    members = await book("CreateList", list={"name": "VIP"})
    await book("AddListContacts", id=members.id, contact_ids=[each.id for each in people])
    options = " ".join(f"-c enable_{each}=off" for each in off)
    url = plain(database.merchants.url)
    driver: Any = await psycopg.AsyncConnection.connect(url, options=options, autocommit=True, context=ADAPTERS)
    async with driver, database.merchants.connect() as connection:
        store = ContactsStore(connection, merchant_id)
        store.driver = driver
        # The driver prepares at the sixth time; five times later the plan may be one for all values.
        for _ in range(12):
            assert await store.contact(person.id) == person
            for order in ORDERS.values():
                expected = sorted(people, key=lambda each: place(each, order), reverse=order.is_descending)
                for chosen in (*FILTERS, Filter(list_id=members.id)):
                    assert await store.contact_page(None, 20, chosen, order) == expected
                    assert await store.contact_page(place(expected[0], order), 20, chosen, order) == expected[1:]


def place(person: Contact, order: Order) -> list[Any]:
    parts = {"id": person.id, "phone": person.phone, "create_time": person.create_time.ToDatetime(tzinfo=UTC)}
    return [parts[name] for name in order.names]


async def test_a_read_goes_on_where_the_database_was_restarted(
    database: Database, postgres: Postgres, person: Contact, merchant_id: str
) -> None:
    async with database.merchants.connect() as connection:
        pid = (await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one()
    async with await psycopg.AsyncConnection.connect(plain(make_url(postgres.url()))) as superuser:
        ended = await superuser.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
        assert await ended.fetchone() == (True,)
    assert await ContactsStore.read(database, merchant_id, lambda store: store.contact(person.id)) == person
