"""A file as it arrives: its encoding and its header are checked before anything is believed, a piece at a time."""

import codecs
import csv
import io
import re

from services.contacts import columns
from services.contacts.errors import EncodingInvalid, HeaderInvalid, ImportEmpty, ImportTooLarge

CHUNK_BYTES = 1024 * 1024
SIZE_BYTES_MAX = 512 * 1024 * 1024
HEADER_LENGTH_MAX = 64 * 1024
UTF16_MARKS = (b"\xff", b"\xfe")
SOMETHING = re.compile(r'[^\s,;"]')


class Upload:
    """Takes pieces and gives chunks of `CHUNK_BYTES` to store. Memory is one chunk and one piece."""

    def __init__(self) -> None:
        self.size_bytes = 0
        #: Where the rows begin.
        self.rows_begin_bytes = 0
        self.header: columns.Header | None = None
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._head = ""
        self._first_byte = b""
        self._rows = Rows()
        self._has_rows = False
        self._chunk = bytearray()

    def take(self, piece: bytes) -> list[bytes]:
        """The chunks that are full. Refuses `EncodingInvalid`, `HeaderInvalid`, `DuplicateColumn`, `ImportTooLarge`."""
        self.size_bytes += len(piece)
        if self.size_bytes > SIZE_BYTES_MAX:
            raise ImportTooLarge(field="body", size_bytes_max=SIZE_BYTES_MAX)
        self._first_byte = self._first_byte or piece[:1]
        self._read(self._decoded(piece, is_last=False), is_last=False)
        self._chunk += piece
        full = []
        while len(self._chunk) >= CHUNK_BYTES:
            full.append(bytes(self._chunk[:CHUNK_BYTES]))
            del self._chunk[:CHUNK_BYTES]
        return full

    def end(self) -> tuple[columns.Header, bytes]:
        """The header and the last chunk. Refuses what `take` refuses, and `ImportEmpty`."""
        self._read(self._decoded(b"", is_last=True), is_last=True)
        if self.header is None or not self._has_rows:
            raise ImportEmpty(field="body")
        return self.header, bytes(self._chunk)

    def _decoded(self, piece: bytes, *, is_last: bool) -> str:
        before = self._decoder.getstate()[0]
        try:
            text = self._decoder.decode(piece, final=is_last)
        except UnicodeDecodeError as error:
            self._rows.count((before + piece)[: error.start].decode(errors="ignore"))
            found = "UTF-16" if self._first_byte in UTF16_MARKS else "bytes that are no UTF-8"
            raise EncodingInvalid(field="body", row=self._rows.number, found=found) from error
        if "\x00" in text:
            self._rows.count(text[: text.index("\x00")])
            raise EncodingInvalid(field="body", row=self._rows.number, found="a NUL character")
        self._rows.count(text)
        return text

    def _read(self, text: str, *, is_last: bool) -> None:
        if self.header is None:
            self._head += text
            text = self._after_header(is_last=is_last)
        self._has_rows = self._has_rows or SOMETHING.search(text) is not None

    def _after_header(self, *, is_last: bool) -> str:
        """What follows the header in the text so far; empty until it is complete."""
        head = self._head.removeprefix("\ufeff")
        if not (is_last and head.strip()) and "\n" not in head and "\r" not in head[:-1]:
            self._bounded(head)
            return ""
        if head.count('"') % 2 and not is_last and len(head) <= HEADER_LENGTH_MAX:
            return ""
        lines = io.StringIO(head, newline="")
        delimiter = columns.delimiter(head.splitlines()[0] if head else "")
        try:
            cells = next(csv.reader(lines, delimiter=delimiter), [])
        except csv.Error as error:
            raise HeaderInvalid(field="body", problem="longer than 64 KiB") from error
        end = lines.tell()
        self._bounded(head[:end])
        if end == len(head) and not is_last and '"' in head:
            return ""
        self.header = columns.parsed(cells, delimiter)
        self.rows_begin_bytes = len((self._head[: len(self._head) - len(head)] + head[:end]).encode())
        self._head = ""
        return head[end:]

    def _bounded(self, head: str) -> None:
        if len(head) > HEADER_LENGTH_MAX:
            raise HeaderInvalid(field="body", problem="longer than 64 KiB")


class Rows:
    """Counts the rows of a text in pieces; a line break inside of quotes ends none."""

    def __init__(self) -> None:
        self._newlines = self._returns = self._quotes = 0

    def count(self, text: str) -> None:
        outside = text.split('"')[self._quotes % 2 :: 2] if '"' in text else [text][self._quotes % 2 :]
        self._newlines += sum(part.count("\n") for part in outside)
        self._returns += sum(part.count("\r") for part in outside)
        self._quotes += text.count('"')

    @property
    def number(self) -> int:
        """The row that the next character stands in, the header being 1."""
        return 1 + max(self._newlines, self._returns)
