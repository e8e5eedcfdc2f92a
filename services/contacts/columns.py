"""The columns of a file: what its header means, in English and Greek."""

import re
from dataclasses import dataclass

from services.contacts import fields
from services.contacts.errors import DuplicateColumn, HeaderInvalid
from services.contacts.formulas import restored
from services.contacts.search import folded

DELIMITERS = ",;\t"
# The names that the export writes; the first is the one that a file can't be without.
NAMES = {
    "phone": "phone mobile phonenumber mobilephone mobilenumber cell cellphone telephone tel msisdn"
    " κινητο τηλεφωνο κινητοτηλεφωνο τηλ",
    "email": "email mail emailaddress ηλεκτρονικηδιευθυνση",
    "first_name": "firstname name givenname forename ονομα",
    "last_name": "lastname surname familyname επωνυμο επιθετο",
    "gender": "gender sex φυλο",
    "birthday": "birthday birthdate dateofbirth dob γενεθλια ημερομηνιαγεννησης",
    "language": "language lang locale γλωσσα",
    "time_zone": "timezone ζωνηωρας",
    "tags": "tags tag ετικετες ετικετα",
    "subscription": "subscription συνδρομη",
}
FIELDS = tuple(NAMES)
ATTRIBUTE_PREFIX = "attributes."
SHOWN_LENGTH_MAX = 300
_FIELD_OF = {folded(name): field for field, names in NAMES.items() for name in names.split()}
_SPACING = re.compile(r"[\s_\-.:*]+")


@dataclass(frozen=True)
class Header:
    """`cells` as they stand in the file, and `columns`, what they mean: a field of `FIELDS`, `attributes.<name>`, or
    empty for a column without a name, which is ignored.
    """

    cells: list[str]
    columns: list[str]
    delimiter: str


def delimiter(line: str) -> str:
    """The one that stands most often outside of quotes; a comma where there is none."""
    return max(DELIMITERS, key=re.sub(r'"[^"]*"', "", line).count)


def parsed(cells: list[str], delimiter: str) -> Header:
    """Refuses `HeaderInvalid`, `DuplicateColumn`."""
    cells = [restored(cell.strip()) for cell in cells]
    columns = [_column(cell) for cell in cells]
    if "phone" not in columns:
        raise HeaderInvalid(
            field="body", found=", ".join(cells)[:SHOWN_LENGTH_MAX], needed="phone (or mobile, κινητό, τηλέφωνο)"
        )
    named: dict[str, str] = {}
    for cell, column in zip(cells, columns, strict=True):
        if column and column in named:
            raise DuplicateColumn(field="body", column=cell, other=named[column], means=column)
        named[column] = cell
    if sum(column.startswith(ATTRIBUTE_PREFIX) for column in columns) > fields.ATTRIBUTES_MAX:
        raise HeaderInvalid(field="body", problem=f"more than {fields.ATTRIBUTES_MAX} columns of attributes")
    return Header(cells, columns, delimiter)


def header(attribute: str) -> str:
    """What the column of an attribute is called so that it is read as one."""
    is_plain = _folded(attribute) not in _FIELD_OF and not attribute.startswith(ATTRIBUTE_PREFIX)
    return attribute if is_plain else ATTRIBUTE_PREFIX + attribute


def _column(cell: str) -> str:
    if not cell:
        return ""
    if field := _FIELD_OF.get(_folded(cell)):
        return field
    try:
        return ATTRIBUTE_PREFIX + fields.attribute_name(cell.removeprefix(ATTRIBUTE_PREFIX))
    except fields.Wrong as wrong:
        raise HeaderInvalid(field="body", column=cell[:SHOWN_LENGTH_MAX], problem=wrong.problem) from wrong


def _folded(cell: str) -> str:
    return _SPACING.sub("", folded(cell))
