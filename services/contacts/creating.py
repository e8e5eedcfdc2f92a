"""Contacts that are made one by one: those of a merchant that come together are one transaction (ADR 45)."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from astronote.contacts.v1.contacts_pb2 import Contact
from kit.errors import DomainError
from kit.gathering import Gatherings
from kit.store import Contended, Database
from services.contacts.consent import Statement
from services.contacts.errors import PhoneTaken
from services.contacts.store import ContactsStore
from services.contacts.store.linking import Person
from services.contacts.suppression import MERCHANT, PhoneHash

TOGETHER_MAX = 50
PAUSE_SECONDS = 0.02
# Longer than a page of an import takes.
PATIENCE_MILLISECONDS = 500
# Connections to the database that those have at most who are made alone, and of these those who wait with patience:
# whoever locks many contacts of one merchant keeps no connection from the others.
ALONE_MAX = 4
PATIENT_MAX = 2


@dataclass(frozen=True)
class New:
    """The column values of a contact, and the consent that it comes with."""

    values: dict[str, Any]
    grant: Statement


class Creating:
    def __init__(self, database: Database, hashed: PhoneHash) -> None:
        self._database, self._hashed = database, hashed
        self._gatherings = Gatherings(self._create_together, TOGETHER_MAX, PAUSE_SECONDS)
        self._alone, self._patient = asyncio.Semaphore(ALONE_MAX), asyncio.Semaphore(PATIENT_MAX)

    async def create(self, merchant_id: str, new: New) -> Contact:
        """Unsubscribed where the phone is suppressed, whatever is asked. Refuses `PhoneTaken`, `Contended`."""
        try:
            return await self._gatherings.add(merchant_id, new)
        except Contended:
            end = await self._create_alone(merchant_id, new)
        if isinstance(end, DomainError):
            raise end
        return end

    async def _create_alone(self, merchant_id: str, new: New) -> Contact | DomainError:
        """Somebody is writing about one of a round. Who is meant waits for that, and holds up nobody."""
        try:
            async with self._alone:
                (end,) = await self._create_together(merchant_id, [new])
        except Contended:
            async with self._patient, ContactsStore.open(self._database, merchant_id) as store:
                (end,) = await self._create(store, [new])
        return end

    async def _create_together(self, merchant_id: str, asked: Sequence[New]) -> Sequence[Contact | DomainError]:
        async with ContactsStore.open(self._database, merchant_id) as store:
            await store.wait_at_most(PATIENCE_MILLISECONDS)
            return await self._create(store, asked)

    async def _create(self, store: ContactsStore, asked: Sequence[New]) -> Sequence[Contact | DomainError]:
        # Of two that bring the same phone the first does.
        firsts = {new.values["phone"]: new for new in reversed(asked)}
        await store.rehash(list(firsts), self._hashed)
        made = await store.create_contacts([new.values for new in firsts.values()])
        await self._say(store, [(person, firsts[person.phone]) for person in made])
        by_phone = {person.phone: person for person in made}
        phones = [new.values["phone"] for new in asked]
        return [
            (by_phone.get(phone) if firsts[phone] is new else None) or PhoneTaken(field="contact.phone", phone=phone)
            for phone, new in zip(phones, asked, strict=True)
        ]

    async def _say(self, store: ContactsStore, made: Sequence[tuple[Contact, New]]) -> None:
        """To the mesh who may be texted from now on; to the ledger what was said of each."""
        granted = defaultdict[Statement, list[Person]](list)
        for person, new in made:
            if person.subscription == Contact.SUBSCRIBED:
                granted[new.grant].append((person.id, new.values["phone_hash"]))
        await store.say_created([person for person, _ in made if person.subscription == Contact.SUBSCRIBED], MERCHANT)
        for grant, people in granted.items():
            await store.note_consents(grant, people)
        for person, new in made:
            if new.values["subscription"] == Contact.UNSUBSCRIBED:
                # A merchant's own word that this person is not to be texted counts like the person's.
                await store.withdraw(person.id, [new.values["phone_hash"]], MERCHANT)
