"""The RPCs of the ledger of consents: who agreed to what, and the evidence of it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
from google.api.httpbody_pb2 import HttpBody

from astronote.contacts.v1 import consents_pb2 as pb
from astronote.contacts.v1 import consents_pb2_grpc as rpc
from kit import caller, pages
from kit.store import Database
from services.contacts import evidence, ledger
from services.contacts.store import ContactsStore
from services.contacts.store.consents import FIRST
from services.contacts.store.linking import shown
from services.contacts.suppression import PhoneHash

CONTENT_TYPE = "application/x-ndjson"
# Links read at once, and the bytes of a piece that is sent: a link of an import is some 400 KB.
LINKS_A_PAGE = 20
PIECE_BYTES = 256 * 1024
ENTRIES_A_PAGE = 500
Context = Any


class Consents(rpc.ConsentsServiceServicer):
    def __init__(self, database: Database, hashed: PhoneHash) -> None:
        self._database, self._hashed = database, hashed

    async def ListConsents(self, request: pb.ListConsentsRequest, context: Context) -> pb.ListConsentsResponse:
        limit, after = pages.size(request.page_size), pages.after(request.page_token, _place)
        async with ContactsStore.open(self._database, caller.merchant_id()) as store:
            person = await store.contact(request.contact_id)
            await store.complete_ledger()
            hashes = await store.person_hashes(self._hashed.all(person.phone))
            found = await store.consent_page(hashes, after or FIRST, limit)
        token = pages.token(found, limit, lambda row: f"{row['number']} {row['position']}")
        return pb.ListConsentsResponse(consents=[message(row) for row in found], next_page_token=token)

    async def ExportConsents(self, request: pb.ExportConsentsRequest, context: Context) -> AsyncIterator[HttpBody]:
        async with ContactsStore.open(self._database, caller.merchant_id()) as store:
            await store.complete_ledger()
        async with ContactsStore.open_snapshot(self._database, caller.merchant_id()) as store:
            if request.contact_id:
                person = await store.contact(request.contact_id)
                hashes = await store.person_hashes(self._hashed.all(person.phone))
                lines = _of_person(store, hashes)
            else:
                hashes, lines = [], whole(store)
            held = bytearray(await head(store, request.contact_id, hashes))
            async for line in lines:
                held += line
                if len(held) >= PIECE_BYTES:
                    yield HttpBody(content_type=CONTENT_TYPE, data=bytes(held))
                    held.clear()
        yield HttpBody(content_type=CONTENT_TYPE, data=bytes(held))


async def head(store: ContactsStore, contact_id: str = "", phone_hashes: Sequence[bytes] = ()) -> bytes:
    number, hash = await store.consent_head()
    hashes = [phone_hash.hex() for phone_hash in phone_hashes]
    whose = {"merchant_id": store.merchant_id, "contact_id": contact_id, "phone_hashes": hashes}
    end = {"number": number, "hash": hash.hex(), "export_time": datetime.now(UTC)}
    return _line({"type": "head", "version": evidence.VERSION, **whose, **end})


async def whole(store: ContactsStore) -> AsyncIterator[bytes]:
    """The whole ledger: its wordings, then its links."""
    async for hash, text in store.wording_texts():
        yield _line({"type": "wording", "hash": hash.hex(), "text": text})
    after = 0
    while links := await store.consent_links(after, LINKS_A_PAGE):
        for link in links:
            people = await store.consent_people(link["number"])
            shown_people = [(contact_id or ledger.NOBODY, phone_hash.hex()) for contact_id, phone_hash in people]
            yield _line({"type": "link", **_statement(link), "people": shown_people})
        after = links[-1]["number"]


async def _of_person(store: ContactsStore, person_hashes: Sequence[bytes]) -> AsyncIterator[bytes]:
    """One person's entries, each with its way to the root of its link's people."""
    after, told = FIRST, set()
    while entries := await store.consent_page(person_hashes, after, ENTRIES_A_PAGE):
        for entry in entries:
            if entry["wording"] and entry["wording_hash"] not in told:
                told.add(entry["wording_hash"])
                yield _line({"type": "wording", "hash": entry["wording_hash"].hex(), "text": entry["wording"]})
            people = await store.consent_people(entry["number"])
            path = await asyncio.to_thread(_path, people, entry["position"])
            place = {"position": entry["position"], "path": [sibling.hex() for sibling in path]}
            whose = {"contact_id": entry["contact_id"] or ledger.NOBODY, "phone_hash": entry["phone_hash"].hex()}
            yield _line({"type": "person", **_statement(entry), **place, **whose})
        after = (entries[-1]["number"], entries[-1]["position"])


def _place(token: str) -> tuple[int, int]:
    """Raises ValueError."""
    number, _, position = token.partition(" ")
    return pages.number(number), pages.number(position)


def _path(people: list[tuple[str | None, bytes]], position: int) -> list[bytes]:
    return ledger.path((ledger.person(*person) for person in people), position)


def _statement(row: Any) -> dict[str, Any]:
    origin = None
    if row["salt"]:
        origin = {"ip_address": row["ip_address"], "user_agent": row["user_agent"], "salt": row["salt"].hex()}
    return {"statement": shown(row), "hash": row["hash"].hex(), "origin": origin}


def _line(values: dict[str, Any]) -> bytes:
    return orjson.dumps(values, option=orjson.OPT_APPEND_NEWLINE)


def message(row: Any) -> pb.Consent:
    values = {name: row[name] for name in pb.Consent.DESCRIPTOR.fields_by_name}
    values |= {name: values[name].hex() for name in ("wording_hash", "previous_hash", "hash")}
    return pb.Consent(**values)
