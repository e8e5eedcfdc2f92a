"""Statements over two contacts that become one, and over tags of many at once."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from uuid import UUID

from sqlalchemy import select, text

from astronote.contacts.v1.contacts_pb2 import Contact
from astronote.contacts.v1.events_pb2 import ContactCreated, TagAdded
from kit import rows
from kit.store import Store
from services.contacts.errors import ContactInvalid, ContactNotFound
from services.contacts.fields import TAGS_MAX, TOO_LONG
from services.contacts.store.contacts import SHOWN
from services.contacts.tables import ACTIVITIES, contacts

_LISTS = text("""
    INSERT INTO list_contacts (list_id, contact_id, merchant_id)
    SELECT list_id, CAST(:id AS uuid), merchant_id FROM list_contacts
    WHERE merchant_id = CAST(:merchant_id AS uuid) AND contact_id = CAST(:other_id AS uuid)
    ON CONFLICT DO NOTHING
""")
_ACTIVITY = text(f"""
    INSERT INTO activities AS a (merchant_id, contact_id, {", ".join(ACTIVITIES.values())})
    SELECT merchant_id, CAST(:id AS uuid), {", ".join(ACTIVITIES.values())} FROM activities
    WHERE merchant_id = CAST(:merchant_id AS uuid) AND contact_id = CAST(:other_id AS uuid)
    ON CONFLICT (merchant_id, contact_id) DO UPDATE SET
        {", ".join(f"{name} = greatest(a.{name}, excluded.{name})" for name in ACTIVITIES.values())}
""")
# Those who were merged into the other before come along.
_PHONES = text("""
    INSERT INTO merged_phones (merchant_id, phone_hash, merged_hash)
    SELECT CAST(:merchant_id AS uuid), :phone_hash, h.hash
    FROM (
        SELECT unnest(CAST(:other_hashes AS bytea[])) AS hash
        UNION SELECT merged_hash FROM merged_phones
        WHERE merchant_id = CAST(:merchant_id AS uuid) AND phone_hash = ANY(CAST(:other_hashes AS bytea[]))
    ) h
    WHERE h.hash <> :phone_hash
    ON CONFLICT DO NOTHING
""")
_ADDED = "contacts.tags || ARRAY(SELECT t FROM unnest(CAST(:tags AS text[])) t WHERE t <> ALL (contacts.tags))"


class MergeStatements(Store):
    async def lock_two(self, id: str, other_id: str) -> tuple[Contact, Contact]:
        """Refuses `ContactNotFound`."""
        found = {person.id: person for person in await self.lock_contacts([id, other_id])}
        return found[rows.uuid(id, ContactNotFound)], found[rows.uuid(other_id, ContactNotFound)]

    async def lock_contacts(self, contact_ids: Sequence[str], field: str = "id") -> list[Contact]:
        """All of them, in the order in which everybody locks contacts. Refuses `ContactNotFound`."""
        wanted = list(dict.fromkeys(rows.uuid(each, ContactNotFound) for each in contact_ids))
        mine = (contacts.c.merchant_id == self.merchant_id, contacts.c.id.in_(wanted))
        query = select(*SHOWN).where(*mine).order_by(contacts.c.phone).with_for_update(key_share=True)
        found = [rows.message(Contact, row) for row in await self.connection.execute(query)]
        known = {person.id for person in found}
        if missing := [each for each in wanted if each not in known]:
            raise ContactNotFound(field=field, id=missing[0], missing=len(missing))
        return found

    async def take_over(self, id: str, other_id: str, phone_hash: bytes, other_hashes: Sequence[bytes]) -> None:
        """Lists, activity and the history of consents (under whichever key) go to the one that stays."""
        whose = {"merchant_id": self.merchant_id, "id": id, "other_id": other_id}
        hashes = {"merchant_id": self.merchant_id, "phone_hash": phone_hash, "other_hashes": list(other_hashes)}
        await self.connection.execute(_LISTS, whose)
        await self.connection.execute(_ACTIVITY, whose)
        await self.connection.execute(_PHONES, hashes)

    async def add_tags(self, contact_ids: Sequence[str], tags: Sequence[str]) -> int:
        """How many had not all of them; who got which is said. Refuses `ContactNotFound`, `ContactInvalid`."""
        found = await self.lock_contacts(contact_ids, "contact_ids")
        for person in found:
            if len({*person.tags, *tags}) > TAGS_MAX:
                raise ContactInvalid(field="tags", problem=TOO_LONG, id=person.id)
        lacking = [person.id for person in found if not set(tags) <= set(person.tags)]
        statement = text(
            f"UPDATE contacts SET tags = {_ADDED}, update_time = now()"
            " WHERE merchant_id = CAST(:merchant_id AS uuid) AND id = ANY(CAST(:ids AS uuid[]))"
        )
        values = {"tags": list(tags), "merchant_id": self.merchant_id, "ids": lacking}
        await self.say_tagged((person.id, set(tags).difference(person.tags)) for person in found)
        return (await self.connection.execute(statement, values)).rowcount

    async def say_created(self, people: Sequence[Contact], source: str) -> None:
        """Contacts that were made, and their tags."""
        whose = {"merchant_id": self.merchant_id}
        created = [ContactCreated(**whose, contact_id=person.id, source=source) for person in people]
        await self.emit(*created, *self._tagged((person.id, person.tags) for person in people))

    async def say_tagged(self, people: Iterable[tuple[str, Iterable[str]]]) -> None:
        """Of each contact the tags that it did not have before."""
        await self.emit(*self._tagged(people))

    def _tagged(self, people: Iterable[tuple[str, Iterable[str]]]) -> list[TagAdded]:
        by_tag = defaultdict[str, bytearray](bytearray)
        for contact_id, tags in people:
            for tag in tags:
                by_tag[tag] += UUID(contact_id).bytes
        whose = {"merchant_id": self.merchant_id}
        return [TagAdded(**whose, tag=tag, contact_ids=bytes(ids)) for tag, ids in by_tag.items()]

    async def remove_tags(self, contact_ids: Sequence[str], tags: Sequence[str]) -> int:
        """How many had any of them. Refuses `ContactNotFound`."""
        found = await self.lock_contacts(contact_ids, "contact_ids")
        having = [person.id for person in found if set(tags) & set(person.tags)]
        statement = text(
            "UPDATE contacts SET update_time = now(), tags ="
            " ARRAY(SELECT t FROM unnest(contacts.tags) t WHERE t <> ALL (CAST(:tags AS text[])))"
            " WHERE merchant_id = CAST(:merchant_id AS uuid) AND id = ANY(CAST(:ids AS uuid[]))"
        )
        values = {"tags": list(tags), "merchant_id": self.merchant_id, "ids": having}
        return (await self.connection.execute(statement, values)).rowcount
