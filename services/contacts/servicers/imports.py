"""The RPCs of the imports: an upload stored in pieces, and how far it is."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

from astronote.contacts.v1 import contacts_pb2 as pb
from astronote.contacts.v1 import contacts_pb2_grpc as rpc
from kit import caller, pages
from kit.store import Database
from services.contacts.consent import SOURCE_LENGTH_MAX, WORDING_LENGTH_MAX
from services.contacts.errors import ImportBrokenOff, ImportEmpty, ImportInvalid
from services.contacts.search import CONTROL
from services.contacts.store import ContactsStore
from services.contacts.upload import CHUNK_BYTES, Upload

WAIT_SECONDS = 2.0
POLL_SECONDS = 0.05
OPEN = (pb.Import.PENDING, pb.Import.RUNNING)
Context = Any


class Imports(rpc.ImportsServiceServicer):
    def __init__(self, database: Database, stored: asyncio.Event) -> None:
        """`stored` wakes the job."""
        self._database, self._stored = database, stored

    async def ImportContacts(self, request: AsyncIterator[pb.ImportContactsRequest], context: Context) -> pb.Import:
        first = await anext(aiter(request), None)
        if first is None:
            raise ImportEmpty(field="body")
        parameters = _parameters(first)
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

    async def ListImportRejects(
        self, request: pb.ListImportRejectsRequest, context: Context
    ) -> pb.ListImportRejectsResponse:
        limit, after = pages.size(request.page_size), pages.after(request.page_token, _row)
        async with ContactsStore.open(self._database, caller.merchant_id()) as store:
            found = await store.rejects_after((await store.import_by_id(request.id)).id, after or 0, limit)
        token = pages.token(found, limit, lambda reject: reject.row)
        return pb.ListImportRejectsResponse(rejects=found, next_page_token=token)

    async def _store(
        self,
        id: str,
        parameters: dict[str, Any],
        first: pb.ImportContactsRequest,
        later: AsyncIterator[pb.ImportContactsRequest],
    ) -> pb.Import:
        """Chunks in transactions of their own, since the caller may be slow; the import in one, once all is there."""
        upload, number = Upload(), 0
        async for piece in _pieces(first, later):
            for chunk in upload.take(piece):
                async with ContactsStore.open(self._database, caller.merchant_id()) as store:
                    await store.add_chunk(id, number, chunk)
                number += 1
        header, last = upload.end()
        file = {
            "headers": header.cells,
            "columns": header.columns,
            "delimiter": header.delimiter,
            "size_bytes": upload.size_bytes,
            "cursor_bytes": upload.rows_begin_bytes,
            "cursor_row": 1,
        }
        async with ContactsStore.open(self._database, caller.merchant_id()) as store:
            await store.add_chunk(id, number, last)
            return await store.add_import(parameters | file | {"id": id})

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


async def _pieces(
    first: pb.ImportContactsRequest, later: AsyncIterator[pb.ImportContactsRequest]
) -> AsyncIterator[bytes]:
    """At most a chunk each. Refuses `ImportBrokenOff` where the last message is no empty piece."""
    is_whole = not first.body.data
    yield first.body.data
    async for request in later:
        is_whole = not request.body.data
        for begin in range(0, len(request.body.data), CHUNK_BYTES):
            yield request.body.data[begin : begin + CHUNK_BYTES]
    if not is_whole:
        raise ImportBrokenOff(field="body")


def _parameters(first: pb.ImportContactsRequest) -> dict[str, Any]:
    """Refuses `ImportInvalid`."""
    if first.on_duplicate not in pb.ImportContactsRequest.OnDuplicate.values():
        raise ImportInvalid(field="on_duplicate")
    texts = {"consent_source": SOURCE_LENGTH_MAX, "consent_wording": WORDING_LENGTH_MAX}
    for field, length_max in texts.items():
        if len(text := getattr(first, field)) > length_max or CONTROL.search(text.replace("\n", " ")):
            raise ImportInvalid(field=field, length_max=length_max)
    return {
        "on_duplicate": first.on_duplicate or pb.ImportContactsRequest.SKIP,
        "consent_source": first.consent_source,
        "consent_wording": first.consent_wording,
    }


def _row(token: str) -> int:
    """Raises ValueError."""
    if not 0 <= (row := int(token)) < 2**31:
        raise ValueError(token)
    return row
