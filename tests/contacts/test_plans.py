"""How PostgreSQL reads a large book that it knows nothing of: its statistics are of many merchants with one contact
each, as on the evening of a platform's first days when somebody brings a large file.
"""

import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr
from sqlalchemy import make_url, text

from astronote.contacts.v1.contacts_pb2 import Contact
from deploy.local.postgres import Postgres
from kit.store import Database
from services.contacts.store import ContactsStore
from services.contacts.store.contacts import ORDERS, Filter
from services.contacts.suppression import PhoneHash
from tests.conftest import SETTINGS, TestMesh

BOTH = PhoneHash(f"{'B' * 43},{SETTINGS['contacts']['suppression_key']}")
CONTACTS, ASKED = 20_000, 500
# Of the rows that a statement may touch: itself, and what else it joins, but never a book.
TOUCHED_MAX = 10 * ASKED
PHONES = [f"+3069{number:08}" for number in range(ASKED)]
ADDED = f"""
    INSERT INTO contacts (merchant_id, phone, phone_hash, email, first_name, last_name, gender, language, time_zone,
                          tags, attributes, subscription, search, create_time)
    SELECT {{merchant_id}}, '+3069' || lpad(n::text, 8, '0'), sha256(n::text::bytea), '', '', '', 'FEMALE', '', '',
           '{{{{}}}}', '{{{{}}}}', 'SUBSCRIBED', '', now() - n * interval '1 s'
    FROM generate_series(0, {CONTACTS - 1}) AS n
"""
STOPPED = f"""
    INSERT INTO suppressions (merchant_id, phone_hash, source) SELECT merchant_id, phone_hash, 'STOP' FROM contacts
    LIMIT {CONTACTS} ON CONFLICT DO NOTHING
"""
TEXTED = """
    INSERT INTO activity_events (merchant_id, kind, event_time, contact_ids)
    SELECT merchant_id, 'TEXTED', now(), string_agg(uuid_send(id), '')
    FROM (SELECT merchant_id, id FROM contacts WHERE merchant_id = :merchant_id LIMIT :asked) AS chosen
    GROUP BY merchant_id
"""
EXPLAINED = """
    LOAD 'auto_explain'; SET LOCAL auto_explain.log_min_duration = 0; SET LOCAL auto_explain.log_analyze = on;
    SET LOCAL auto_explain.log_timing = off; SET LOCAL auto_explain.log_format = json;
    SET LOCAL auto_explain.log_level = notice
"""
Work = Callable[[ContactsStore], Awaitable[object]]


async def fold(store: ContactsStore) -> None:
    mine = text("SELECT id FROM activity_events WHERE merchant_id = :merchant_id")
    waiting = await store.connection.execute(mine, {"merchant_id": store.merchant_id})
    await store.fold_activity(waiting.scalars().all())


async def create(store: ContactsStore) -> None:
    texts = dict.fromkeys(("email", "first_name", "last_name", "language", "time_zone", "birthday", "search"), "")
    rest = {"gender": Contact.FEMALE, "tags": [], "attributes": {}, "subscription": Contact.SUBSCRIBED}
    asked = [texts | rest | {"phone": f"{phone}0", "phone_hash": phone.encode()} for phone in PHONES]
    assert len(await store.create_contacts(asked)) == ASKED


WORKS: dict[str, Work] = {
    "those who come together": create,
    "one text": lambda store: store.untextable(PHONES[:1]),
    "a batch": lambda store: store.untextable(PHONES),
    "opt-outs": lambda store: store.opted_out(PHONES, BOTH),
    "an import's preview": lambda store: store.count_phones(PHONES),
    "a rotation": lambda store: store.rehash(PHONES, BOTH),
    "activity": fold,
} | {
    f"a page by {order or 'id'}": lambda store, order=order: store.contact_page(None, 20, Filter(), ORDERS[order])
    for order in ORDERS
}


@pytest.fixture(scope="module")
async def store(mesh: TestMesh, postgres: Postgres) -> AsyncIterator[ContactsStore]:
    """As the superuser, who may ANALYZE and explain, and rolls it all back."""
    await mesh.service("contacts")
    settings = mesh.app("contacts").settings
    url = postgres.url(make_url(settings.pipeline_database_url.get_secret_value()).database or "")
    database = Database(settings.model_copy(update={"pipeline_database_url": SecretStr(url)}), "contacts")
    async with ContactsStore.open_pipeline(database) as store:
        store.merchant_id = str(uuid.uuid4())
        await store.connection.execute(text(ADDED.format(merchant_id="gen_random_uuid()")))
        await store.connection.execute(text(STOPPED))
        for table in ("contacts", "suppressions", "activities"):
            await store.connection.execute(text(f"ANALYZE {table}"))
        await store.connection.execute(text(ADDED.format(merchant_id=f"'{store.merchant_id}'")))
        await store.connection.execute(text(TEXTED), {"merchant_id": store.merchant_id, "asked": ASKED})
        yield store
        await store.driver.rollback()
    await database.close()


@pytest.mark.parametrize("work", WORKS.values(), ids=WORKS)
async def test_no_more_than_what_was_asked_for_is_read(store: ContactsStore, work: Work) -> None:
    plans: list[dict[str, Any]] = []

    def planned(said: psycopg.errors.Diagnostic) -> None:
        plans.append(json.loads((said.message_primary or "").split("plan:\n")[1]))

    store.driver.add_notice_handler(planned)
    await store.driver.execute(EXPLAINED.encode(), prepare=False)
    await work(store)
    # A plan is told when its portal closes, which is at the next statement.
    await store.driver.execute(b"SET LOCAL auto_explain.log_min_duration = -1")
    store.driver.remove_notice_handler(planned)
    assert plans
    read = {plan["Query Text"]: max(map(touched, nodes(plan["Plan"]))) for plan in plans}
    assert not {query: rows for query, rows in read.items() if rows > TOUCHED_MAX}


def nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", []):
        yield from nodes(child)


def touched(node: dict[str, Any]) -> float:
    removed = sum(rows for name, rows in node.items() if name.startswith("Rows Removed by"))
    return float(node["Actual Loops"] * (node["Actual Rows"] + removed))
