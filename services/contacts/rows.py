"""One row of a file: cells in, a person or a reject out."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any

import orjson

from astronote.contacts.v1.contacts_pb2 import Contact
from services.contacts import days, fields, phones, search, spoiled
from services.contacts.columns import ATTRIBUTE_PREFIX, Header
from services.contacts.errors import PhoneInvalid
from services.contacts.formulas import ERRORS, restored
from services.contacts.suppression import PhoneHash

TAG_SEPARATORS = re.compile(r"[,;|]")
# In the order of the columns of `staged`; the names are those of the contact.
STAGED_TEXTS = ("email", "first_name", "last_name", "gender", "birthday", "language", "time_zone")
GENDERS = {
    "MALE": "male m man mr boy ανδρας αντρας αρρεν αγορι κος κυριος α",
    "FEMALE": "female f w woman mrs ms miss girl γυναικα θηλυ κοριτσι κα κυρια θ γ",
    "OTHER": "other o nonbinary non-binary αλλο",
    "PREFER_NOT_TO_SAY": "prefer_not_to_say prefernottosay unknown αγνωστο",
}
SUBSCRIPTIONS = {
    "SUBSCRIBED": "subscribed yes y true 1 optin opt-in opted-in ναι εγγεγραμμενος εγγεγραμμενη",
    "UNSUBSCRIBED": "unsubscribed no n false 0 optout opt-out opted-out οχι διαγραμμενος διαγραμμενη",
}
_GENDER_OF = {search.folded(word): gender for gender, words in GENDERS.items() for word in words.split()}
_SUBSCRIPTION_OF = {search.folded(word): state for state, words in SUBSCRIPTIONS.items() for word in words.split()}


class Rejected(Exception):
    """The row can't come in; says which cell is why."""

    def __init__(self, column: str, value: str, reason: str) -> None:
        super().__init__(reason)
        self.column, self.value, self.reason = column, value, reason


class Reader:
    """Reads the rows of one file."""

    def __init__(self, header: Header, *, country: str, today: date, is_update: bool) -> None:
        self._country, self._is_update = country, is_update
        self._header = header
        self._width = len(header.columns)
        self._phone_index = header.columns.index("phone")
        checks: dict[str, Callable[[str], Any]] = {
            "email": fields.email,
            "first_name": fields.name,
            "last_name": fields.name,
            "gender": _gender,
            "birthday": lambda cell: fields.birthday(days.iso(cell, country, today), today),
            "language": fields.language,
            "time_zone": fields.time_zone,
            "tags": lambda cell: fields.tags(tag for tag in map(str.strip, TAG_SEPARATORS.split(cell)) if tag),
            "subscription": _subscription,
        }
        self._checks = [
            (index, column, checks.get(column, fields.attribute))
            for index, column in enumerate(header.columns)
            if column and column != "phone"
        ]

    def person(self, cells: Sequence[str]) -> dict[str, Any] | None:
        """The filled cells by column, checked; none for a blank row. Raises `Rejected`, `CountryNeeded`."""
        if not any(cells) or not any(map(str.strip, cells)):
            return None
        if len(cells) > self._width and any(extra := cells[self._width :]):
            raise Rejected("", next(filter(None, extra)), "TOO_MANY_CELLS")
        person = {"phone": self._phone(cells)}
        for index, column, check in self._checks:
            if index < len(cells) and (cell := cells[index]):
                if cell[0] == "#" and cell in ERRORS:
                    raise Rejected(self._header.cells[index], cell, "SPREADSHEET_ERROR")
                cell = restored(cell)
                try:
                    person[column] = check(cell)
                except fields.Wrong as wrong:
                    name = "attribute" if column.startswith(ATTRIBUTE_PREFIX) else column
                    raise Rejected(self._header.cells[index], cell, f"{name.upper()}_{wrong.problem}") from wrong
        return person

    def merge(self, first: dict[str, Any], later: dict[str, Any]) -> None:
        """A phone stands twice in the file: the later row counts where the import updates; an opt-out counts always."""
        if self._is_update:
            unsubscribed = "UNSUBSCRIBED" in (first.get("subscription"), later.get("subscription"))
            first.update((column, value) for column, value in later.items() if value)
            if unsubscribed:
                first["subscription"] = "UNSUBSCRIBED"
        elif later.get("subscription") == "UNSUBSCRIBED":
            first["subscription"] = "UNSUBSCRIBED"

    @staticmethod
    def staged(people: Mapping[str, Mapping[str, Any]], hashed: PhoneHash) -> bytes:
        """Lines of COPY's text format. No cell holds a tab or a line break, so that only backslashes are escaped."""
        lines = []
        for phone, person in people.items():
            get = person.get
            attributes = {
                column.removeprefix(ATTRIBUTE_PREFIX): value
                for column, value in person.items()
                if value and column.startswith(ATTRIBUTE_PREFIX)
            }
            searched = search.search_text(get("first_name", ""), get("last_name", ""), phone, get("email", ""))
            line = "\t".join(
                (
                    phone,
                    "\\x" + hashed(phone).hex(),
                    *[get(name, "") for name in STAGED_TEXTS],
                    search.SEPARATOR.join(get("tags", ())),
                    orjson.dumps(attributes).decode() if attributes else "{}",
                    searched,
                    "t" if get("subscription") == "UNSUBSCRIBED" else "f",
                )
            )
            lines.append(line.replace("\\", "\\\\"))
        lines.append("")
        return "\n".join(lines).encode()

    def _phone(self, cells: Sequence[str]) -> str:
        cell = cells[self._phone_index] if self._phone_index < len(cells) else ""
        if not cell.strip():
            raise Rejected(self._header.cells[self._phone_index], cell, "PHONE_MISSING")
        try:
            return phones.normalized(spoiled.restored(cell), self._country)
        except spoiled.Rounded as error:
            raise Rejected(self._header.cells[self._phone_index], cell, "PHONE_ROUNDED") from error
        except PhoneInvalid as error:
            raise Rejected(self._header.cells[self._phone_index], cell, PhoneInvalid.reason()) from error


def _gender(cell: str) -> str:
    return _word(cell, _GENDER_OF)


def _subscription(cell: str) -> str:
    return _word(cell, _SUBSCRIPTION_OF)


def _word(cell: str, meanings: Mapping[str, str]) -> str:
    word = search.folded(cell.strip()).removesuffix(".")
    if word and word not in meanings:
        raise fields.Wrong(fields.INVALID)
    return meanings.get(word, "")


assert set(_GENDER_OF.values()) <= set(Contact.Gender.keys())
assert set(_SUBSCRIPTION_OF.values()) <= set(Contact.Subscription.keys())
