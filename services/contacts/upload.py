"""A text file as it arrives: its encoding, its header and its delimiter, found a piece at a time. What is stored are
its rows in UTF-8, whatever it came in.
"""

import csv
import io
import re
from dataclasses import dataclass

from services.contacts.columns import Header, Mapping, no_phone, recognised
from services.contacts.decoding import Decoder, Undecodable
from services.contacts.errors import EncodingInvalid, HeaderInvalid, ImportEmpty, ImportTooLarge

CHUNK_BYTES = 1024 * 1024
SIZE_BYTES_MAX = 512 * 1024 * 1024
DELIMITERS = ",;\t|"
# Where a header may stand: titles and blank lines come before it.
HEADER_LENGTH_MAX = 64 * 1024
HEADER_ROW_MAX = 20
SOMETHING = re.compile(r'[^\s,;|"]')


@dataclass(frozen=True)
class Found:
    """A header, or the first row of a file without one."""

    header: Header
    #: Of the header, the first row being 1; 0 where there is none.
    row: int
    #: Where the text of the rows begins.
    end: int


class Upload:
    """Takes pieces and gives chunks of `CHUNK_BYTES` to store. Memory is one chunk, one piece and the header."""

    def __init__(self, mapping: Mapping, delimiters: str = DELIMITERS) -> None:
        self.found: Found | None = None
        #: Of the rows, as they are stored.
        self.size_bytes = 0
        self._mapping, self._delimiters = mapping, delimiters
        self._decoder = Decoder()
        self._head: str | None = ""
        self._read_bytes = 0
        self._lines = Lines()
        self._has_rows = False
        self._chunk = bytearray()

    @property
    def encoding(self) -> str:
        return self._decoder.encoding

    @property
    def rows(self) -> int:
        """How many rows there are about, blank ones too."""
        is_unfinished = bool(self._chunk) and not self._chunk.endswith((b"\n", b"\r"))
        return max(0, self._lines.number - 1 + is_unfinished - (self.found.row if self.found else 0))

    def take(self, piece: bytes) -> list[bytes]:
        """The chunks that are full. Refuses `EncodingInvalid`, `HeaderInvalid`, `DuplicateColumn`, `ImportTooLarge`."""
        self._read_bytes += len(piece)
        if self._read_bytes > SIZE_BYTES_MAX:
            raise ImportTooLarge(field="body", size_bytes_max=SIZE_BYTES_MAX)
        return self._taken(piece, is_last=False)

    def end(self) -> list[bytes]:
        """The last chunks. Refuses what `take` refuses, and `ImportEmpty`."""
        chunks = self._taken(b"", is_last=True)
        if not self._has_rows:
            raise ImportEmpty(field="body")
        return [*chunks, bytes(self._chunk)]

    def _taken(self, piece: bytes, *, is_last: bool) -> list[bytes]:
        try:
            text = self._decoder.decode(piece, is_last=is_last)
        except Undecodable as error:
            self._lines.count(error.before)
            raise EncodingInvalid(field="body", row=self._lines.number, found=error.found) from error
        self._lines.count(text)
        if self._head is not None:
            text = self._after_header(text, is_last=is_last)
        self._has_rows = self._has_rows or SOMETHING.search(text) is not None
        data = text.encode()
        self.size_bytes += len(data)
        self._chunk += data
        full = []
        while len(self._chunk) > CHUNK_BYTES:
            full.append(bytes(self._chunk[:CHUNK_BYTES]))
            del self._chunk[:CHUNK_BYTES]
        return full

    def _after_header(self, text: str, *, is_last: bool) -> str:
        """What follows the header in the text so far; empty until enough is there to look for it."""
        assert self._head is not None
        self._head += text
        if len(self._head) < HEADER_LENGTH_MAX and not is_last:
            return ""
        head, self._head = self._head, None
        if not SOMETHING.search(head):
            raise ImportEmpty(field="body")
        self.found = found(head, self._mapping, self._delimiters, is_whole=is_last)
        return head[self.found.end :]


def found(head: str, mapping: Mapping, delimiters: str = DELIMITERS, *, is_whole: bool) -> Found:
    """Finds the header in the beginning of a file: among the delimiters, the one with which it says most.

    Refuses `HeaderInvalid`, `DuplicateColumn`.
    """
    if len(head) > HEADER_LENGTH_MAX:
        head, is_whole = head[:HEADER_LENGTH_MAX], False
    rows = {delimiter: _first_rows(head, delimiter, is_whole=is_whole) for delimiter in delimiters}
    candidates = [
        (recognised(row.cells), len(row.cells), -place, delimiter, row)
        for place, delimiter in enumerate(delimiters)
        for row in [next((row for row in rows[delimiter] if mapping.finds_phone(row.cells)), None)]
        if row is not None
    ]
    if not candidates:
        seen = next((row.cells for row in rows[delimiters[0]] if any(row.cells)), None)
        raise no_phone(seen) if seen else HeaderInvalid(field="body", problem="longer than 64 KiB")
    *_, delimiter, row = max(candidates, key=lambda candidate: candidate[:3])
    if mapping.is_nameless(row.cells):
        return Found(mapping.nameless(len(row.cells), delimiter), row.number - 1, row.begin)
    return Found(mapping.header(row.cells, delimiter), row.number, row.end)


@dataclass(frozen=True)
class _Row:
    number: int
    cells: list[str]
    begin: int
    end: int


def _first_rows(head: str, delimiter: str, *, is_whole: bool) -> list[_Row]:
    lines = io.StringIO(head, newline="")
    found: list[_Row] = []
    for number, cells in enumerate(csv.reader(lines, delimiter=delimiter), 1):
        begin, end = found[-1].end if found else 0, lines.tell()
        if number > HEADER_ROW_MAX or (end == len(head) and not is_whole):
            break
        found.append(_Row(number, cells, begin, end))
    return found


class Lines:
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
        """The row that the next character stands in, the first being 1."""
        return 1 + max(self._newlines, self._returns)
