"""The columns of a file: what its header means, in English and Greek, and what the caller says it means."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from services.contacts import fields
from services.contacts.errors import DuplicateColumn, HeaderInvalid, ImportInvalid
from services.contacts.formulas import restored
from services.contacts.search import folded

# Written without spaces, dots, dashes, accents and case.
NAMES = {
    "phone": "mobile mobilephone mobilephonenumber mobilenumber mobileno mobiletel phonemobile cell cellphone"
    " cellphonenumber cellular handy gsm sms smsnumber whatsapp viber κινητο κινητα κιν κινητοτηλεφωνο κινητοτηλ"
    " τηλκινητο τηλκινητου τηλεφωνοκινητο αριθμοςκινητου αρκινητου",
    "email": "email mail emailaddress email1 email1value ηλεκτρονικηδιευθυνση ηλδιευθυνση ηλταχυδρομειο"
    " ηλεκτρονικοταχυδρομειο διευθυνσηemail",
    "first_name": "firstname givenname forename fname christianname ονομα μικροονομα",
    "last_name": "lastname surname familyname lname secondname επωνυμο επιθετο επωνυμοπελατη",
    "gender": "gender sex φυλο",
    "birthday": "birthday birthdate birth dateofbirth dob bday γενεθλια ημερομηνιαγεννησης ημερομηνιαγενεθλιων"
    " ημγεννησης ημνιαγεννησης γεννηση",
    "language": "language lang locale preferredlanguage γλωσσα",
    "time_zone": "timezone ζωνηωρας ωριαιαζωνη",
    "tags": "tags tag labels groups ετικετες ετικετα ομαδες",
    "subscription": "subscription subscribed optin smsoptin acceptssmsmarketing smsmarketing συνδρομη συναινεση",
}
# What means a field as well, unless another column says it better: a phone beside a mobile is one of the landline.
SECOND_NAMES = {
    "phone": "phone phonenumber phoneno telephone telephonenumber tel telno msisdn contactnumber primaryphone phone1"
    " phone1value τηλεφωνο τηλεφωνα τηλ αριθμοςτηλεφωνου αρτηλεφωνου τηλεφωνοεπικοινωνιας τηλεπικοινωνιας",
    "first_name": "name ονομαπελατη",
}
FIELDS = tuple(NAMES)
ATTRIBUTE_PREFIX = "attributes."
IGNORE = "ignore"
# What the file of the rejected rows adds to them (rejects.py): it can be corrected and imported as it is.
REJECT_COLUMNS = ("import_row", "import_column", "import_reason")
COLUMNS_MAX = 500
SHOWN_LENGTH_MAX = 300
_SPACING = re.compile(r"[\s_\-.:*/()]+")
_FIELD_OF = {folded(name): field for field, names in NAMES.items() for name in names.split()}
_SECOND_OF = {folded(name): field for field, names in SECOND_NAMES.items() for name in names.split()}


@dataclass(frozen=True)
class Header:
    """`cells` as they stand in the file, and `columns`, what they mean: a field of `FIELDS`, `attributes.<name>`, or
    empty for a column that is ignored.
    """

    cells: list[str]
    columns: list[str]
    delimiter: str


class Mapping:
    """What the caller says: `phone:Κινητό`, `attributes.city:3`, `ignore:Notes`. A column is named as in the header,
    or by its number from 1. Refuses `ImportInvalid`.
    """

    def __init__(self, texts: Sequence[str] = ()) -> None:
        self._targets: list[tuple[str, str]] = []
        if len(texts) > COLUMNS_MAX:
            raise ImportInvalid(field="columns", count_max=COLUMNS_MAX)
        for text in texts:
            target, _, column = text.partition(":")
            if not column.strip():
                raise ImportInvalid(field="columns", value=text[:SHOWN_LENGTH_MAX], needed="field:column")
            self._targets.append((_target(target.strip(), text), column.strip()))

    def finds_phone(self, cells: Sequence[str]) -> bool:
        """Whether the row can be the header."""
        by_caller = [column for target, column in self._targets if target == "phone"]
        if by_caller:
            return _places(by_caller[0], cells) != [] and any(map(str.strip, cells))
        return any(_field(cell) == "phone" for cell in cells)

    def is_nameless(self, cells: Sequence[str]) -> bool:
        """Whether the row is one of people already: the caller names columns by number, and a phone stands there."""
        if not self._targets or not all(column.isdigit() for _, column in self._targets):
            return False
        phones = [
            cells[place] for target, column in self._targets if target == "phone" for place in _places(column, cells)
        ]
        return any(sum(map(str.isdigit, cell)) > 6 and not any(map(str.isalpha, cell)) for cell in phones)

    def nameless(self, width: int, delimiter: str) -> Header:
        """Of a file whose rows begin at once: what the caller does not name is ignored."""
        numbers = [str(number) for number in range(1, width + 1)]
        columns = [""] * width
        for target, column in self._targets:
            columns[_place(column, numbers)] = target
        _check(numbers, columns)
        return Header(numbers, columns, delimiter)

    def header(self, cells: Sequence[str], delimiter: str) -> Header:
        """Refuses `HeaderInvalid`, `DuplicateColumn`."""
        cells = [restored(cell.strip()) for cell in cells]
        if len(cells) > COLUMNS_MAX:
            raise HeaderInvalid(field="body", problem=f"more than {COLUMNS_MAX} columns")
        columns: list[str | None] = [None] * len(cells)
        for target, column in self._targets:
            columns[_place(column, cells)] = target
        taken = {column for column in columns if column}
        read = [
            _column(cell, cells, taken) if column is None else column
            for cell, column in zip(cells, columns, strict=True)
        ]
        _check(cells, read)
        return Header(cells, read, delimiter)


def recognised(cells: Sequence[str]) -> int:
    """How many cells of a row name a field."""
    return sum(_field(cell) != "" for cell in cells)


def header(attribute: str) -> str:
    """What the column of an attribute is called so that it is read as one."""
    is_plain = not (_field(attribute) or attribute in REJECT_COLUMNS or attribute.startswith(ATTRIBUTE_PREFIX))
    return attribute if is_plain else ATTRIBUTE_PREFIX + attribute


def _target(text: str, whole: str) -> str:
    """The column that the caller means; empty for one to ignore."""
    if text == IGNORE:
        return ""
    if field := _field(text):
        return field
    try:
        if text.startswith(ATTRIBUTE_PREFIX):
            return ATTRIBUTE_PREFIX + fields.attribute_name(text.removeprefix(ATTRIBUTE_PREFIX))
    except fields.Wrong as wrong:
        raise ImportInvalid(field="columns", value=whole[:SHOWN_LENGTH_MAX], problem=wrong.problem) from wrong
    known = ", ".join((*FIELDS, ATTRIBUTE_PREFIX + "<name>", IGNORE))
    raise ImportInvalid(field="columns", value=whole[:SHOWN_LENGTH_MAX], known=known)


def _places(column: str, cells: Sequence[str]) -> list[int]:
    """Where the column stands that a caller names."""
    named = [place for place, cell in enumerate(cells) if _folded(cell) == _folded(column)]
    if not named and column.isascii() and column.isdigit() and 0 < int(column[:9]) <= len(cells):
        return [int(column) - 1]
    return named


def _place(column: str, cells: Sequence[str]) -> int:
    found = _places(column, cells)
    if not found:
        raise HeaderInvalid(field="columns", column=column[:SHOWN_LENGTH_MAX], found=_shown(cells))
    if len(found) > 1:
        raise DuplicateColumn(field="columns", column=column[:SHOWN_LENGTH_MAX], needed="its number")
    return found[0]


def _column(cell: str, cells: Sequence[str], taken: set[str]) -> str:
    """What a column means by its own name. One that another says better, or whose field the caller gave to another, is
    an attribute.
    """
    if not cell or cell in REJECT_COLUMNS:
        return ""
    field = _field(cell)
    is_second = _folded(cell) in _SECOND_OF and any(_FIELD_OF.get(_folded(other)) == field for other in cells)
    if field and field not in taken and not is_second:
        return field
    try:
        return ATTRIBUTE_PREFIX + fields.attribute_name(cell.removeprefix(ATTRIBUTE_PREFIX))
    except fields.Wrong as wrong:
        raise HeaderInvalid(field="body", column=cell[:SHOWN_LENGTH_MAX], problem=wrong.problem) from wrong


def _check(cells: Sequence[str], columns: Sequence[str]) -> None:
    if "phone" not in columns:
        raise no_phone(cells)
    named: dict[str, str] = {}
    for cell, column in zip(cells, columns, strict=True):
        if column and column in named:
            raise DuplicateColumn(field="body", column=cell, other=named[column], means=column)
        named[column] = cell
    if sum(column.startswith(ATTRIBUTE_PREFIX) for column in columns) > fields.ATTRIBUTES_MAX:
        raise HeaderInvalid(field="body", problem=f"more than {fields.ATTRIBUTES_MAX} columns of attributes")


def no_phone(cells: Sequence[str]) -> HeaderInvalid:
    needed = "a column of phones: phone, mobile, κινητό, τηλέφωνο, or one named by columns=phone:…"
    return HeaderInvalid(field="body", found=_shown(cells), needed=needed)


def _field(cell: str) -> str:
    key = _folded(cell)
    return _FIELD_OF.get(key) or _SECOND_OF.get(key, "")


def _shown(cells: Sequence[str]) -> str:
    return ", ".join(cells)[:SHOWN_LENGTH_MAX]


def _folded(cell: str) -> str:
    return _SPACING.sub("", folded(cell.strip()))
