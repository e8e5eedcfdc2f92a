"""CSV to take away, the book or the rejected rows of a file: the columns that the import reads, and no cell that a
spreadsheet would take for a formula.
"""

import csv
import io
from collections.abc import Iterable

from astronote.contacts.v1.contacts_pb2 import Contact, ImportReject
from services.contacts import columns
from services.contacts.formulas import defused

CONTENT_TYPE = "text/csv; charset=utf-8"
PIECE_LENGTH = 64 * 1024
TAG_SEPARATOR = "|"
# Spreadsheets read a file without the mark in the code page of the machine, and Greek is lost.
BYTE_ORDER_MARK = "\ufeff"


class Sheet:
    """Gathers rows; `taken` empties it."""

    def __init__(self, header: Iterable[str]) -> None:
        self._text = io.StringIO()
        self._text.write(BYTE_ORDER_MARK)
        self._writer = csv.writer(self._text)
        self._writer.writerow(map(defused, header))

    def is_piece(self) -> bool:
        return self._text.tell() >= PIECE_LENGTH

    def taken(self) -> bytes:
        data = self._text.getvalue().encode()
        self._text.seek(0)
        self._text.truncate()
        return data


class BookSheet(Sheet):
    def __init__(self, attribute_names: Iterable[str]) -> None:
        self._attribute_names = list(attribute_names)
        super().__init__([*columns.FIELDS, *map(columns.header, self._attribute_names)])

    def write(self, contact: Contact) -> None:
        # A spreadsheet takes +30… for the number that it is, and the import reads that too.
        row = [contact.phone]
        cells = (
            contact.email,
            contact.first_name,
            contact.last_name,
            Contact.Gender.Name(contact.gender) if contact.gender else "",
            contact.birthday,
            contact.language,
            contact.time_zone,
            TAG_SEPARATOR.join(contact.tags),
            Contact.Subscription.Name(contact.subscription),
            *(contact.attributes.get(name, "") for name in self._attribute_names),
        )
        row.extend(defused(cell) for cell in cells)
        self._writer.writerow(row)


class RejectsSheet(Sheet):
    """The rows of a file that did not come in, with the row, the column and the reason before each."""

    def __init__(self, fields: Iterable[str]) -> None:
        super().__init__([*columns.REJECT_COLUMNS, *fields])

    def write(self, reject: ImportReject, cells: Iterable[str]) -> None:
        self._writer.writerow(map(defused, (str(reject.row), reject.column, reject.reason, *cells)))
