"""The RPCs of the imports: an upload stored in pieces, how far it is, and what of it did not come in."""

import asyncio
import hashlib
import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from datetime import datetime
from typing import Any

from google.api.httpbody_pb2 import HttpBody

from astronote.contacts.v1 import contacts_pb2 as pb
from astronote.contacts.v1 import contacts_pb2_grpc as rpc
from astronote.contacts.v1.consents_pb2 import Consent
from kit import caller, pages
from kit.store import Database
from services.contacts import export, previewing, sheet
from services.contacts.columns import Mapping
from services.contacts.consent import SOURCE_LENGTH_MAX, WORDING_LENGTH_MAX
from services.contacts.conversion import Conversion
from services.contacts.errors import ImportBrokenOff, ImportEmpty, ImportInvalid
from services.contacts.importing import Importing
from services.contacts.search import CONTROL
from services.contacts.store import ContactsStore
from services.contacts.suppression import PhoneHash
from services.contacts.upload import CHUNK_BYTES, Upload

WAIT_SECONDS = 2.0
POLL_SECONDS = 0.05
FILE_NAME_LENGTH_MAX = 100
REJECTS_PAGE_SIZE = 500
OPEN = (pb.Import.PENDING, pb.Import.RUNNING)
Context = Any


class Imports(rpc.ImportsServiceServicer):
    def __init__(self, database: Database, importing: Importing, hashed: PhoneHash, stored: asyncio.Event) -> None:
        """`stored` wakes the job."""
        self._database, self._importing, self._hashed, self._stored = database, importing, hashed, stored
        self._conversion = Conversion(database)

    async def ImportContacts(self, request: AsyncIterator[pb.ImportContactsRequest], context: Context) -> pb.Import:
        first = await anext(aiter(request), None)
        if first is None:
            raise ImportEmpty(field="body")
        parameters = _parameters(first)
        if first.list_id:
            async with ContactsStore.open(self._database, caller.merchant_id()) as store:
                await store.check_list(first.list_id)
        if first.validate_only:
            return await self._previewed(parameters, first, request)
        id, stored = str(uuid.uuid4()), None
        try:
            stored = await self._store(id, parameters, first, request)
        finally:
            if stored is None:
                # Also when the caller went away. Where this process dies here, the sweeper does it.
                await asyncio.shield(self._discard(id))
        self._stored.set()
        return await self._finished(stored)

    async def GetImport(self, request: pb.GetImportRequest, context: Context) -> pb.Import:
        async with ContactsStore.open(self._database, caller.merchant_id()) as store:
            return await store.import_by_id(request.id)

    async def ListImports(self, request: pb.ListImportsRequest, context: Context) -> pb.ListImportsResponse:
        limit, before = pages.size(request.page_size), pages.after(request.page_token, _place)
        async with ContactsStore.open(self._database, caller.merchant_id()) as store:
            found = await store.imports_before(before, limit)
        token = pages.token(found, limit, lambda item: f"{item.create_time.ToJsonString()} {item.id}")
        return pb.ListImportsResponse(imports=found, next_page_token=token)

    async def CancelImport(self, request: pb.CancelImportRequest, context: Context) -> pb.Import:
        async with ContactsStore.open(self._database, caller.merchant_id()) as store:
            cancelled = await store.cancel_import(request.id)
            await store.discard_chunks(cancelled.id)
        return cancelled

    async def ListImportRejects(
        self, request: pb.ListImportRejectsRequest, context: Context
    ) -> pb.ListImportRejectsResponse:
        limit, after = pages.size(request.page_size), pages.after(request.page_token, _row)
        async with ContactsStore.open(self._database, caller.merchant_id()) as store:
            found = await store.rejects_after((await store.import_by_id(request.id)).id, after or 0, limit)
        token = pages.token(found, limit, lambda reject: reject.row)
        return pb.ListImportRejectsResponse(rejects=found, next_page_token=token)

    async def DownloadImportRejects(
        self, request: pb.DownloadImportRejectsRequest, context: Context
    ) -> AsyncIterator[HttpBody]:
        async with ContactsStore.open_snapshot(self._database, caller.merchant_id()) as store:
            file = await store.import_by_id(request.id)
            sheet = export.RejectsSheet(column.field for column in file.columns)
            async for page in store.rejected_rows(file.id, REJECTS_PAGE_SIZE):
                for reject, cells in page:
                    sheet.write(reject, cells)
                if sheet.is_piece():
                    yield HttpBody(content_type=export.CONTENT_TYPE, data=sheet.taken())
        yield HttpBody(content_type=export.CONTENT_TYPE, data=sheet.taken())

    async def _store(
        self,
        id: str,
        parameters: dict[str, Any],
        first: pb.ImportContactsRequest,
        later: AsyncIterator[pb.ImportContactsRequest],
    ) -> pb.Import:
        """Chunks in transactions of their own, since the caller may be slow; the import in one, once all is there."""
        file, upload, number = _Arriving(first, later), Upload(Mapping(first.columns)), 0
        async with aclosing(self._chunks(file, upload)) as chunks:
            async for chunk in chunks:
                async with ContactsStore.open(self._database, caller.merchant_id()) as store:
                    await store.add_chunk(id, number, chunk)
                number += 1
        async with ContactsStore.open(self._database, caller.merchant_id()) as store:
            return await store.add_import(parameters | _found(file, upload) | {"id": id})

    async def _previewed(
        self,
        parameters: dict[str, Any],
        first: pb.ImportContactsRequest,
        later: AsyncIterator[pb.ImportContactsRequest],
    ) -> pb.Import:
        """Reads all of the file, so that it is refused for what the import would be, and keeps its first chunk."""
        file, upload, window = _Arriving(first, later), Upload(Mapping(first.columns)), b""
        async with aclosing(self._chunks(file, upload)) as chunks:
            async for chunk in chunks:
                window = window or chunk
        work = parameters | _found(file, upload) | {"id": "", "merchant_id": caller.merchant_id()}
        try:
            page = await self._importing.preview(work, window)
        except sheet.Unreadable as unreadable:
            return previewing.failed(work, str(unreadable))
        people = list(page.people)
        shown = people[: previewing.CONTACTS_MAX]
        async with ContactsStore.open(self._database, caller.merchant_id()) as store:
            known = await store.count_phones(people)
            opted_out = await store.opted_out(shown, self._hashed)
        return previewing.shown(work, page, len(people) - known, frozenset(opted_out))

    async def _chunks(self, file: "_Arriving", upload: Upload) -> AsyncGenerator[bytes, None]:
        """The file as it is stored. Refuses what `Conversion` and `Upload` refuse."""
        async with aclosing(self._conversion.text(file.pieces(), caller.merchant_id())) as text:
            async for piece in text:
                for chunk in upload.take(piece):
                    yield chunk
        for chunk in upload.end():
            yield chunk

    async def _finished(self, stored: pb.Import) -> pb.Import:
        """As it is when it is done, or after two seconds."""
        for _ in range(int(WAIT_SECONDS / POLL_SECONDS)):
            if stored.state not in OPEN:
                break
            await asyncio.sleep(POLL_SECONDS)
            async with ContactsStore.open(self._database, caller.merchant_id()) as store:
                stored = await store.import_by_id(stored.id)
        return stored

    async def _discard(self, id: str) -> None:
        async with ContactsStore.open(self._database, caller.merchant_id()) as store:
            await store.discard_chunks(id)


class _Arriving:
    """A file in the messages of a stream."""

    def __init__(self, first: pb.ImportContactsRequest, later: AsyncIterator[pb.ImportContactsRequest]) -> None:
        self._first, self._later = first, later
        self.digest = hashlib.sha256()

    async def pieces(self) -> AsyncIterator[bytes]:
        """At most a chunk each. Refuses `ImportBrokenOff` where the last message is no empty piece."""
        is_whole = not self._first.body.data
        for piece in self._cut(self._first.body.data):
            yield piece
        async for request in self._later:
            is_whole = not request.body.data
            for piece in self._cut(request.body.data):
                yield piece
        if not is_whole:
            raise ImportBrokenOff(field="body")

    def _cut(self, data: bytes) -> list[bytes]:
        self.digest.update(data)
        return [data[begin : begin + CHUNK_BYTES] for begin in range(0, len(data), CHUNK_BYTES)]


def _parameters(first: pb.ImportContactsRequest) -> dict[str, Any]:
    """Refuses `ImportInvalid`."""
    if first.on_duplicate not in pb.ImportContactsRequest.OnDuplicate.values():
        raise ImportInvalid(field="on_duplicate")
    if first.legal_basis not in Consent.LegalBasis.values():
        raise ImportInvalid(field="legal_basis")
    lengths_max = {
        "consent_source": SOURCE_LENGTH_MAX,
        "consent_wording": WORDING_LENGTH_MAX,
        "file_name": FILE_NAME_LENGTH_MAX,
    }
    texts = {field: getattr(first, field) for field in lengths_max}
    for field, text in texts.items():
        if len(text) > lengths_max[field] or CONTROL.search(text.replace("\n", " ")):
            raise ImportInvalid(field=field, length_max=lengths_max[field])
    return texts | {
        "on_duplicate": first.on_duplicate or pb.ImportContactsRequest.SKIP,
        "list_id": first.list_id or None,
        "legal_basis": first.legal_basis or Consent.CONSENT,
    }


def _found(file: _Arriving, upload: Upload) -> dict[str, Any]:
    """What an upload that is over is: columns of its import."""
    assert upload.found
    header = upload.found.header
    return {
        "sha256": file.digest.hexdigest(),
        "encoding": upload.encoding,
        "headers": header.cells,
        "columns": header.columns,
        "delimiter": header.delimiter,
        "rows": upload.rows,
        "size_bytes": upload.size_bytes,
        "cursor_bytes": 0,
        "cursor_row": upload.found.row,
    }


def _row(token: str) -> int:
    """Raises ValueError."""
    if not 0 <= (row := int(token)) < 2**31:
        raise ValueError(token)
    return row


def _place(token: str) -> tuple[datetime, str]:
    """Raises ValueError."""
    time, _, id = token.partition(" ")
    return datetime.fromisoformat(time), str(uuid.UUID(id))
