"""What kind of file arrives, and spreadsheets on their way to CSV: from there on every file goes the same road."""

import asyncio
import sys
import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from kit.store import Database
from services.contacts import spreadsheet
from services.contacts.errors import FileUnsupported, ImportTooLarge, SpreadsheetInvalid
from services.contacts.store import ContactsStore
from services.contacts.upload import CHUNK_BYTES

SPREADSHEET_BYTES_MAX = 64 * 1024 * 1024
READ_BYTES = 256 * 1024
CONVERSION_SECONDS_MAX = 240
# Each is a process of up to `spreadsheet.MEMORY_BYTES_MAX`.
CONVERSIONS_MAX = 1
ZIP = b"PK\x03\x04"
OTHERS = {
    b"\xd0\xcf\x11\xe0": "a spreadsheet of the old format (.xls), or one that is protected by a password",
    b"%PDF": "a PDF",
    b"{\\rt": "an RTF document",
    b"\x89PNG": "an image",
    b"\xff\xd8\xff": "an image",
    b"GIF8": "an image",
    b"\x1f\x8b": "a compressed file; unpack it first",
    b"Rar!": "a compressed file; unpack it first",
    b"7z\xbc\xaf": "a compressed file; unpack it first",
    b"<htm": "a web page",
    b"<!DO": "a web page",
    b"<?xm": "an XML file",
}
KIND_BYTES = max(map(len, OTHERS))


class Conversion:
    """One a process."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._turn = asyncio.Semaphore(CONVERSIONS_MAX)

    async def text(self, pieces: AsyncIterator[bytes], merchant_id: str) -> AsyncGenerator[bytes, None]:
        """The file as a text file; a spreadsheet's comes once all of it is there.

        Refuses `FileUnsupported`, `ImportTooLarge`, `SpreadsheetInvalid`.
        """
        head = await _head(pieces)
        for begin, found in OTHERS.items():
            if head.startswith(begin):
                raise FileUnsupported(field="body", found=found)
        if not head.startswith(ZIP):
            yield head
            async for piece in pieces:
                yield piece
            return
        id = str(uuid.uuid4())
        try:
            count = await self._store(id, merchant_id, head, pieces)
            async with self._turn, aclosing(self._converted(id, merchant_id, count)) as text:
                async for piece in text:
                    yield piece
        finally:
            await asyncio.shield(self._discard(id, merchant_id))

    async def _store(self, id: str, merchant_id: str, head: bytes, pieces: AsyncIterator[bytes]) -> int:
        """In chunks under an id of their own, so that slow uploads fill no memory; their number."""
        held, size_bytes, number = bytearray(head), len(head), 0
        async for piece in pieces:
            held += piece
            size_bytes += len(piece)
            if size_bytes > SPREADSHEET_BYTES_MAX:
                raise ImportTooLarge(field="body", size_bytes_max=SPREADSHEET_BYTES_MAX)
            if len(held) >= CHUNK_BYTES:
                await self._add(id, merchant_id, number, bytes(held))
                number += 1
                held.clear()
        await self._add(id, merchant_id, number, bytes(held))
        return number + 1

    async def _converted(self, id: str, merchant_id: str, count: int) -> AsyncGenerator[bytes, None]:
        # Isolated, and with nothing of what this process knows.
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", spreadsheet.__file__),
            env={},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stdin
        assert process.stdout
        assert process.stderr
        # Not round the `yield`: a time that is up would end what the reader does meanwhile.
        end_time = asyncio.get_running_loop().time() + CONVERSION_SECONDS_MAX
        piece = b""
        try:
            async with asyncio.timeout_at(end_time):
                await self._feed(process.stdin, id, merchant_id, count)
                piece = await process.stdout.read(READ_BYTES)
            while piece:
                yield piece
                async with asyncio.timeout_at(end_time):
                    piece = await process.stdout.read(READ_BYTES)
            async with asyncio.timeout_at(end_time):
                problem = (await process.stderr.read(READ_BYTES)).decode("utf-8", "replace")
                code = await process.wait()
        except TimeoutError as error:
            raise SpreadsheetInvalid(field="body", problem="it takes too long to read") from error
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if code:
            known = problem if code == spreadsheet.REFUSED else "it takes too much memory or time to read"
            raise SpreadsheetInvalid(field="body", problem=known)

    async def _feed(self, stdin: asyncio.StreamWriter, id: str, merchant_id: str, count: int) -> None:
        try:
            for number in range(count):
                async with ContactsStore.open(self._database, merchant_id) as store:
                    chunk = await store.chunks(id, number, 1)
                stdin.write(chunk)
                await stdin.drain()
            stdin.close()
        except (BrokenPipeError, ConnectionResetError):
            # It ended early; its code says why.
            return

    async def _add(self, id: str, merchant_id: str, number: int, chunk: bytes) -> None:
        async with ContactsStore.open(self._database, merchant_id) as store:
            await store.add_chunk(id, number, chunk)

    async def _discard(self, id: str, merchant_id: str) -> None:
        async with ContactsStore.open(self._database, merchant_id) as store:
            await store.discard_chunks(id)


async def _head(pieces: AsyncIterator[bytes]) -> bytes:
    """As much of the file as shows its kind, or all of it."""
    head = b""
    async for piece in pieces:
        head += piece
        if len(head) >= KIND_BYTES:
            break
    return head
