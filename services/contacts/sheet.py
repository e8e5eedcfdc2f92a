"""A page of a file: bytes in, people and rejects out. A pure function of where it begins, so that a crash resumes."""

import codecs
import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain

from services.contacts.rows import Reader, Rejected
from services.contacts.suppression import PhoneHash

PAGE_ROWS = 5_000
# The longest row, and how much of a file is looked at for a page.
WINDOW_BYTES = 1024 * 1024
VALUE_LENGTH_MAX = 100
# What is cut off makes no wrong cell right: no field may be as long.
CELL_LENGTH_MAX = 1_000
# Fed behind the last line: when it comes back inside of a cell, a quote was left open. No file holds a NUL.
END = "\x00end"


class Unreadable(Exception):
    """The file can't be read from this row on; the message says why, for the merchant."""


@dataclass(frozen=True)
class Reject:
    """As `ImportReject`."""

    row: int
    column: str
    value: str
    reason: str
    cells: list[str]


@dataclass
class Page:
    """What rows of a file hold. Phones are unique in `people`; `repeated` rows named one that was there already."""

    size_bytes: int
    #: Rows of the file, blank ones too.
    rows: int
    received: int = 0
    repeated: int = 0
    people: dict[str, dict[str, object]] = field(default_factory=dict)
    rejects: list[Reject] = field(default_factory=list)

    def staged(self, hashed: PhoneHash) -> bytes:
        """The people as `COPY staged FROM STDIN` reads them."""
        return Reader.staged(self.people, hashed)


def page(window: bytes, first_row: int, delimiter: str, reader: Reader, *, is_last: bool) -> Page:
    """The next rows, at most `PAGE_ROWS`. `window` begins with a row; it holds `WINDOW_BYTES` or, when `is_last`, what
    is left of the file. Raises `Unreadable`, `CountryNeeded`.
    """
    text, _ = codecs.utf_8_decode(window, "strict", is_last)
    records, length = _records(text, first_row, delimiter, is_last=is_last)
    found = Page(size_bytes=len(text[:length].encode()), rows=len(records))
    for row, cells in enumerate(records, first_row):
        try:
            person = reader.person(cells)
        except Rejected as rejected:
            value, kept = rejected.value[:VALUE_LENGTH_MAX], [cell[:CELL_LENGTH_MAX] for cell in cells]
            found.rejects.append(Reject(row, rejected.column, value, rejected.reason, kept))
            found.received += 1
            continue
        if person is None:
            continue
        found.received += 1
        phone = str(person["phone"])
        if phone in found.people:
            found.repeated += 1
            reader.merge(found.people[phone], person)
        else:
            found.people[phone] = person
    return found


def _records(text: str, first_row: int, delimiter: str, *, is_last: bool) -> tuple[list[list[str]], int]:
    """Whole records, and the length of their text."""
    buffer = io.StringIO(text, newline="")
    lines: Iterator[str] = chain(buffer, [END]) if is_last else buffer
    records: list[list[str]] = []
    ends = [0]
    problem = ""
    try:
        for record in csv.reader(lines, delimiter=delimiter):
            records.append(record)
            ends.append(buffer.tell())
            if len(records) == PAGE_ROWS and ends[-1] < len(text):
                return records, ends[-1]
    except csv.Error:
        problem = "a cell is longer than 131,072 characters, or its quote is never closed"
    if not problem and records:
        last = records.pop()
        ends.pop()
        if is_last and last == [END]:
            return records, len(text)
        problem = "its quote is never closed" if _is_open(last) else "it is longer than 1 MiB"
    if not records:
        raise Unreadable(f"Row {first_row}: {problem or 'it is longer than 1 MiB'}.")
    return records, ends[-1]


def _is_open(record: Sequence[str]) -> bool:
    return bool(record) and END in record[-1]
