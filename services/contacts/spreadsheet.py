"""XLSX to CSV: a program of its own, so that a spreadsheet made to harm (a zip bomb, a billion cells) ends this process
and not the service. Reads the file from standard input and writes the rows of its first visible sheet, in UTF-8, to
standard output. A file that it refuses ends it with `REFUSED` and the problem on standard error.

Stands on the standard library alone and runs isolated, without the service's environment. Memory is the file and its
shared texts. Formulas are not computed, nor macros run: what counts is the value that the spreadsheet stored last.
Format: ECMA-376, part 1, chapters 12 and 18.
"""

import csv
import io
import re
import resource
import sys
import zipfile
from array import array
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from typing import BinaryIO, TextIO
from xml.parsers import expat

REFUSED = 3
MEMORY_BYTES_MAX = 320 * 1024 * 1024
CPU_SECONDS_MAX = 120
UNPACKED_BYTES_MAX = 1024 * 1024 * 1024
# Sheets of a million rows pack 10 to 50 times; deflate could do a thousand.
RATIO_MAX = 200
RATIO_FROM_BYTES = 10 * 1024 * 1024
ENTRIES_MAX = 10_000
TEXTS_BYTES_MAX = 128 * 1024 * 1024
ROWS_MAX = 1_048_576
COLUMNS_MAX = 500
CELL_LENGTH_MAX = 131_072
READ_BYTES = 256 * 1024
# 18.8.30: built-in formats of dates. Those of one's own name days, months, years or hours outside of quotes.
DATE_FORMATS = frozenset((*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)))
QUOTED = re.compile(r'"[^"]*"|\[[^\]]*\]|\\.|_.|\*.')
DATE_LETTERS = re.compile(r"[dmyhsDMYHS]")
ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")
Start = Callable[[str, dict[str, str]], None]


class Refused(Exception):
    """The file is no spreadsheet that can be read; says why."""


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS_MAX, CPU_SECONDS_MAX))
    try:
        data = sys.stdin.buffer.read()
        convert(io.BytesIO(data), io.TextIOWrapper(sys.stdout.buffer, "utf-8", newline="", write_through=False))
    except Refused as refused:
        sys.stderr.write(str(refused))
        sys.exit(REFUSED)


def convert(file: BinaryIO, out: TextIO) -> None:
    """Raises `Refused`."""
    try:
        with zipfile.ZipFile(file) as archive:
            book = _Book(archive)
            _Sheet(book, out).read(archive)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, ValueError, LookupError, NotImplementedError) as error:
        raise Refused("the file is damaged, or no spreadsheet") from error
    except expat.ExpatError as error:
        raise Refused("the file is damaged: its XML can't be read") from error
    out.flush()


class _Book:
    """What a sheet is read with: where it is, the shared texts, and which styles are dates."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        if len(archive.infolist()) > ENTRIES_MAX:
            raise Refused(f"it holds more than {ENTRIES_MAX:,} files")
        self.names = {name.lower(): name for name in archive.namelist()}
        if "xl/workbook.xml" not in self.names:
            is_open_document = "content.xml" in self.names
            raise Refused("it is an OpenDocument file" if is_open_document else "the archive is no XLSX file")
        self.is_1904 = False
        self._sheets: list[tuple[str, str]] = []
        self.parse(archive, "xl/workbook.xml", self._workbook)
        self._parts: dict[str, str] = {}
        self.parse(archive, "xl/_rels/workbook.xml.rels", self._relation)
        self.sheet = self._first_visible()
        self._formats: dict[int, str] = {}
        self._cell_styles = False
        self.dates: list[bool] = []
        if "xl/styles.xml" in self.names:
            self.parse(archive, "xl/styles.xml", self._style, self._style_end)
        self.texts = _Texts()
        if "xl/sharedstrings.xml" in self.names:
            self.parse(archive, "xl/sharedStrings.xml", self.texts.start, self.texts.end, self.texts.take)

    def parse(
        self,
        archive: zipfile.ZipFile,
        name: str,
        start: Start,
        end: Callable[[str], None] | None = None,
        text: Callable[[str], None] | None = None,
    ) -> None:
        info = archive.getinfo(self.names[name.lower()])
        _check(info)
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.buffer_size = READ_BYTES
        parser.StartElementHandler = start
        parser.EndElementHandler = end
        parser.CharacterDataHandler = text
        parser.StartDoctypeDeclHandler = _refuse_doctype
        with archive.open(info) as part:
            while piece := part.read(READ_BYTES):
                parser.Parse(piece, False)
        parser.Parse(b"", True)

    def _workbook(self, name: str, attributes: Mapping[str, str]) -> None:
        tag = _local(name)
        if tag == "workbookPr":
            self.is_1904 = attributes.get("date1904", "") in ("1", "true")
        elif tag == "sheet" and attributes.get("state", "visible") == "visible":
            relation = next((value for key, value in attributes.items() if _local(key) == "id" and key != "id"), "")
            self._sheets.append((attributes.get("name", ""), relation))

    def _relation(self, name: str, attributes: Mapping[str, str]) -> None:
        if attributes.get("Type", "").endswith("/worksheet"):
            target = attributes.get("Target", "")
            self._parts[attributes.get("Id", "")] = target[1:] if target.startswith("/") else f"xl/{target}"

    def _first_visible(self) -> str:
        for _, relation in self._sheets:
            if self._parts.get(relation, "").lower() in self.names:
                return self._parts[relation]
        raise Refused("it has no visible sheet")

    def _style(self, name: str, attributes: Mapping[str, str]) -> None:
        tag = _local(name)
        if tag == "numFmt":
            self._formats[int(attributes.get("numFmtId", "0"))] = attributes.get("formatCode", "")
        elif tag == "cellXfs":
            self._cell_styles = True
        elif tag == "xf" and self._cell_styles:
            number = int(attributes.get("numFmtId", "0"))
            code = QUOTED.sub("", self._formats.get(number, ""))
            self.dates.append(number in DATE_FORMATS or DATE_LETTERS.search(code) is not None)

    def _style_end(self, name: str) -> None:
        if _local(name) == "cellXfs":
            self._cell_styles = False


class _Texts:
    """The texts that cells share, end to end in one buffer."""

    def __init__(self) -> None:
        self._buffer, self._ends = bytearray(), array("I", [0])
        self._is_text = self._is_phonetic = False
        self._parts: list[str] = []

    def __getitem__(self, place: int) -> str:
        if not 0 <= place < len(self._ends) - 1:
            raise IndexError(place)
        return self._buffer[self._ends[place] : self._ends[place + 1]].decode()

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        tag = _local(name)
        if tag == "t":
            self._is_text = not self._is_phonetic
        elif tag == "rPh":
            self._is_phonetic = True

    def take(self, text: str) -> None:
        if self._is_text:
            self._parts.append(text)

    def end(self, name: str) -> None:
        tag = _local(name)
        if tag == "t":
            self._is_text = False
        elif tag == "rPh":
            self._is_phonetic = False
        elif tag == "si":
            self._buffer += _unescaped("".join(self._parts)).encode()
            self._parts.clear()
            if len(self._buffer) > TEXTS_BYTES_MAX:
                raise Refused("it holds too much text")
            self._ends.append(len(self._buffer))


class _Sheet:
    """Writes the rows of a sheet as they are read."""

    def __init__(self, book: _Book, out: TextIO) -> None:
        self._book, self._writer = book, csv.writer(out)
        self._row: list[str] = []
        self._number = 0
        self._place = -1
        self._type = self._style = ""
        self._parts: list[str] = []
        self._length = 0
        self._is_value = False
        self._places: dict[str, int] = {}

    def read(self, archive: zipfile.ZipFile) -> None:
        self._book.parse(archive, self._book.sheet, self._start, self._end, self._take)

    def _start(self, name: str, attributes: Mapping[str, str]) -> None:
        tag = _local(name)
        if tag == "c":
            self._type, self._style = attributes.get("t", "n"), attributes.get("s", "")
            self._place = self._column(attributes.get("r", ""))
            self._parts.clear()
            self._length = 0
        elif tag in ("v", "t"):
            self._is_value = True
        elif tag == "rPh":
            self._is_value = False
        elif tag == "row":
            self._begin(attributes.get("r", ""))

    def _begin(self, number: str) -> None:
        """Rows that are left out are blank ones: the numbers of the rest stay those of the spreadsheet."""
        row = int(number or self._number + 1)
        if not self._number < row <= ROWS_MAX:
            raise Refused("its rows are out of order" if row <= ROWS_MAX else f"it has more than {ROWS_MAX:,} rows")
        for _ in range(row - self._number - 1):
            self._writer.writerow(())
        self._number, self._place = row, -1
        self._row.clear()

    def _take(self, text: str) -> None:
        if self._is_value:
            self._length += len(text)
            if self._length > CELL_LENGTH_MAX:
                raise Refused(f"row {self._number} has a cell of more than {CELL_LENGTH_MAX:,} characters")
            self._parts.append(text)

    def _end(self, name: str) -> None:
        tag = _local(name)
        if tag in ("v", "t"):
            self._is_value = False
        elif tag == "c":
            if value := self._value("".join(self._parts)):
                if self._place >= COLUMNS_MAX:
                    raise Refused(f"it has more than {COLUMNS_MAX} columns")
                self._row.extend([""] * (self._place - len(self._row)))
                self._row.append(value)
        elif tag == "row":
            self._writer.writerow(self._row)

    def _column(self, reference: str) -> int:
        """From 0; without a reference the cell is the next."""
        letters = reference.rstrip("0123456789")
        if not letters:
            return self._place + 1
        if letters not in self._places:
            place = 0
            for letter in letters[:4].upper():
                place = place * 26 + ord(letter) - 64
            self._places[letters] = place - 1
        return max(self._places[letters], len(self._row))

    def _value(self, text: str) -> str:
        if self._type == "s":
            return self._book.texts[int(text)] if text else ""
        if self._type == "b":
            return {"1": "TRUE", "0": "FALSE"}.get(text, text)
        if self._type == "n" and text:
            style = int(self._style or 0)
            is_date = 0 <= style < len(self._book.dates) and self._book.dates[style]
            return _day(text, is_1904=self._book.is_1904) if is_date else _number(text)
        return _unescaped(text)


def _check(info: zipfile.ZipInfo) -> None:
    """Of what is declared: zipfile reads no more than that."""
    if info.flag_bits & 1:
        raise Refused("it is protected by a password")
    if info.file_size > UNPACKED_BYTES_MAX:
        raise Refused(f"it unpacks to more than {UNPACKED_BYTES_MAX >> 20} MiB")
    if info.file_size > RATIO_FROM_BYTES and info.file_size > RATIO_MAX * max(1, info.compress_size):
        raise Refused(f"it unpacks to more than {RATIO_MAX} times its size")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise Refused("it is packed in a way that spreadsheets are not")


def _refuse_doctype(*declaration: object) -> None:
    raise Refused("its XML declares entities, which spreadsheets do not")


@lru_cache(maxsize=1024)
def _local(name: str) -> str:
    """Without the prefix of its namespace."""
    return name.rpartition(":")[2]


def _number(text: str) -> str:
    """Whole numbers without a decimal point, as the cell shows them: phones among them."""
    if text.isdigit():
        return text
    value = float(text)
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else text


@lru_cache(maxsize=65_536)
def _day(text: str, *, is_1904: bool) -> str:
    """ISO 8601. 1900 is no leap year, but spreadsheets count its 29th of February."""
    days = float(text)
    if not 0 <= days < 2_958_466:
        return text
    begin = datetime(1904, 1, 1) if is_1904 else datetime(1899, 12, 31 if days < 60 else 30)  # noqa: DTZ001 no zone
    found = begin + timedelta(seconds=round(days * 86_400))
    return found.date().isoformat() if found.time() == found.min.time() else found.isoformat(" ")


def _unescaped(text: str) -> str:
    """22.4.2.4: characters that XML can't hold are written `_x000D_`; those that no cell may hold are dropped."""
    return ESCAPED.sub(_character, text) if "_x" in text else text


def _character(found: re.Match[str]) -> str:
    character = chr(int(found[1], 16))
    return character if character.isprintable() or character in "\t\r\n" else ""


if __name__ == "__main__":
    main()
