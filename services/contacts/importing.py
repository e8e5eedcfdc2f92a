"""The work on stored files: one import a turn, a page a transaction, so that a crash resumes at the last page."""

import asyncio
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeAlias

import structlog

from astronote.contacts.v1.consents_pb2 import Consent
from astronote.contacts.v1.contacts_pb2 import ImportContactsRequest
from kit.store import Database
from services.contacts import sheet
from services.contacts.columns import Header
from services.contacts.consent import Statement
from services.contacts.countries import Countries
from services.contacts.errors import AccountsUnavailable
from services.contacts.phones import CountryNeeded
from services.contacts.rows import Reader
from services.contacts.store import ContactsStore
from services.contacts.store.imports import Counts, LeaseLost, Work, Written
from services.contacts.suppression import PhoneHash
from services.contacts.upload import CHUNK_BYTES

LEASE_SECONDS = 60
# A turn is about two seconds of work; then the next merchant's file has its turn.
PAGES_PER_TURN = 8
ATTEMPTS_MAX = 20
PAUSE_SECONDS = 5
# Longer than any upload may take.
STALE_SECONDS = 86_400
# A file that is only looked at: what would be its row.
Preview: TypeAlias = Mapping[str, Any]
TRIED = f"The file could not be imported; it was tried {ATTEMPTS_MAX} times."
log = structlog.get_logger()


class Importing:
    """The job. Any number of processes may run it."""

    def __init__(self, database: Database, countries: Countries, hashed: PhoneHash) -> None:
        self._database, self._countries, self._hashed = database, countries, hashed

    async def preview(self, work: Preview, window: bytes) -> sheet.Page:
        """The first page of a file that is not stored. Raises `Unreadable`; refuses `AccountsUnavailable`."""
        return (await self._paged(work, _File(self._database, work), window)).page

    async def step(self) -> bool:
        """Gives one import a turn; false when there is none to do."""
        lease_id = str(uuid.uuid4())
        async with ContactsStore.open_pipeline(self._database) as store:
            work = await store.claim_import(lease_id, LEASE_SECONDS)
        if work is None:
            return False
        if work["attempts"] > ATTEMPTS_MAX:
            await self._fail(work, TRIED)
            return True
        pause_seconds, is_excused = 0, False
        try:
            await self._turn(work)
        except LeaseLost:
            log.warning("lease lost", import_id=work["id"])
        except AccountsUnavailable:
            # The file waits for the merchant's country.
            pause_seconds, is_excused = PAUSE_SECONDS, True
        except asyncio.CancelledError:
            is_excused = True
            raise
        finally:
            async with ContactsStore.open_pipeline(self._database) as store:
                await store.release_import(work["id"], lease_id, pause_seconds, is_excused=is_excused)
        return True

    async def _turn(self, work: Work) -> None:
        """While the database writes a page, the next one is read: both cores have work."""
        file = _File(self._database, work)
        reading = asyncio.create_task(self._read(work, file))
        try:
            for turn in range(1, PAGES_PER_TURN + 1):
                read = await reading
                if turn < PAGES_PER_TURN and not read.is_last:
                    reading = asyncio.create_task(self._read(work, file))
                await self._write(work, read)
                if read.is_last:
                    break
        except sheet.Unreadable as unreadable:
            await self._fail(work, str(unreadable))
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _read(self, work: Work, file: "_File") -> "_Read":
        """The next page. Raises `Unreadable`; refuses `AccountsUnavailable`."""
        found = await self._paged(work, file, await file.window())
        file.advance(found.page)
        return found

    async def _paged(self, work: Work | Preview, file: "_File", window: bytes) -> "_Read":
        try:
            return await asyncio.to_thread(self._page, work, file, window)
        except CountryNeeded:
            file.country = await self._countries.of(work["merchant_id"])
            return await asyncio.to_thread(self._page, work, file, window)

    def _page(self, work: Work | Preview, file: "_File", window: bytes) -> "_Read":
        """In a thread: the event loop answers other calls meanwhile."""
        header = Header(work["headers"], work["columns"], work["delimiter"])
        is_update = work["on_duplicate"] == ImportContactsRequest.UPDATE
        reader = Reader(header, country=file.country, today=datetime.now(UTC).date(), is_update=is_update)
        page = sheet.page(window, file.row + 1, work["delimiter"], reader, is_last=file.is_at_end(window))
        return _Read(page, page.staged(self._hashed), file.is_last(page))

    async def _write(self, work: Work, read: "_Read") -> None:
        is_update, page = work["on_duplicate"] == ImportContactsRequest.UPDATE, read.page
        async with ContactsStore.open_pipeline(self._database) as store:
            await store.hold_import(work["id"], work["lease_id"])
            await store.rehash(list(page.people), self._hashed, work["merchant_id"])
            written = await store.write_people(work, read.staged, is_update=is_update) if page.people else Written()
            if page.rejects:
                await store.add_rejects(work, page.rejects)
            counted = counts(page, written.created, is_update=is_update)
            await store.advance_import(work["id"], counted, page, LEASE_SECONDS, is_last=read.is_last)
            if read.is_last:
                await store.discard_chunks(work["id"])
            await _note(store, work, written)

    async def _fail(self, work: Work, failure: str) -> None:
        async with ContactsStore.open_pipeline(self._database) as store:
            await store.hold_import(work["id"], work["lease_id"])
            await store.fail_import(work["id"], failure)
            await store.discard_chunks(work["id"])


def counts(page: sheet.Page, created: int, *, is_update: bool) -> Counts:
    """What a page comes to where so many of its people are new."""
    there = len(page.people) - created + page.repeated
    return Counts(
        received=page.received,
        created=created,
        updated=there if is_update else 0,
        skipped=0 if is_update else there,
        rejected=len(page.rejects),
    )


async def _note(store: ContactsStore, work: Work, written: Written) -> None:
    """The consents of a page are a link of the ledger, and its opt-outs another."""
    merchant_id = work["merchant_id"]
    source = "; ".join(filter(None, (work["consent_source"], work["file_name"], f"sha256:{work['sha256']}")))
    grant = Statement(Consent.GRANTED, source, work["legal_basis"], work["consent_wording"])
    await store.note_consents(grant, written.granted, merchant_id)
    await store.note_consents(Statement(Consent.WITHDRAWN, "import"), written.withdrawn, merchant_id)


class Sweeping:
    """Drops what aborted uploads left, where the process that took them could not."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def step(self) -> bool:
        async with ContactsStore.open_pipeline(self._database) as store:
            await store.discard_stale_chunks(STALE_SECONDS)
        return False


@dataclass(frozen=True)
class _Read:
    """A page, and its people as the database takes them."""

    page: sheet.Page
    staged: bytes
    is_last: bool


class _File:
    """Reads a stored file from its cursor on; holds at most two chunks."""

    def __init__(self, database: Database, work: Work | Preview) -> None:
        self._database, self._id = database, work["id"]
        self._size_bytes: int = work["size_bytes"]
        self.cursor_bytes: int = work["cursor_bytes"]
        self.row: int = work["cursor_row"]
        #: The merchant's, once a row needed it.
        self.country = ""
        self._held = b""

    async def window(self) -> bytes:
        """From the cursor, as much as a page may need or as there is."""
        end_bytes = self.cursor_bytes + len(self._held)
        if len(self._held) < sheet.WINDOW_BYTES and end_bytes < self._size_bytes:
            # The first read begins within a chunk, the later ones at the next.
            number, skipped = divmod(end_bytes, CHUNK_BYTES)
            async with ContactsStore.open_pipeline(self._database) as store:
                read = await store.chunks(self._id, number, 2 if skipped else 1)
            self._held += read[skipped:]
        return self._held[: sheet.WINDOW_BYTES]

    def is_at_end(self, window: bytes) -> bool:
        return self.cursor_bytes + len(window) >= self._size_bytes

    def is_last(self, page: sheet.Page) -> bool:
        return self.cursor_bytes + page.size_bytes >= self._size_bytes

    def advance(self, page: sheet.Page) -> None:
        self._held = self._held[page.size_bytes :]
        self.cursor_bytes += page.size_bytes
        self.row += page.rows
