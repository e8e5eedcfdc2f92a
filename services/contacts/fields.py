"""What a field of a contact may hold, wherever it comes from.

Each function takes text and returns it cleaned, or raises `Wrong`.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import date
from functools import cache, lru_cache
from zoneinfo import available_timezones

from services.contacts.search import CONTROL

NAME_LENGTH_MAX = 100
EMAIL_LENGTH_MAX = 254
TAGS_MAX = TAG_LENGTH_MAX = 50
ATTRIBUTES_MAX = ATTRIBUTE_NAME_LENGTH_MAX = 50
ATTRIBUTE_LENGTH_MAX = 500
BIRTHDAY_MIN = date(1900, 1, 1)
EMAIL = re.compile(r"[^@\s,;<>]+@[^@\s,;<>]+\.[^@\s,;<>.]+")
LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,4}")
TOO_LONG, INVALID = "TOO_LONG", "INVALID"


class Wrong(ValueError):
    """The value can't stand in its field; says why: `TOO_LONG` or `INVALID`."""

    @property
    def problem(self) -> str:
        return str(self.args[0])


def name(text: str) -> str:
    return _line(text, NAME_LENGTH_MAX)


def email(text: str) -> str:
    text = _line(text, EMAIL_LENGTH_MAX)
    if text and not EMAIL.fullmatch(text):
        raise Wrong(INVALID)
    return text


def language(text: str) -> str:
    text = text.strip()
    if text and not LANGUAGE.fullmatch(text):
        raise Wrong(INVALID)
    return text


def time_zone(text: str) -> str:
    text = text.strip()
    if text and text not in _time_zones():
        raise Wrong(INVALID)
    return text


@lru_cache(maxsize=65_536)
def birthday(text: str, today: date) -> str:
    """`YYYY-MM-DD`, not before 1900 and not after today."""
    if not text:
        return ""
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise Wrong(INVALID) from error
    # Python reads a date of a week, too, as long: 1990-W05-3.
    if day.isoformat() != text or not BIRTHDAY_MIN <= day <= today:
        raise Wrong(INVALID)
    return text


def tags(texts: Iterable[str]) -> list[str]:
    """In their order, each once."""
    found = list(dict.fromkeys(_line(text, TAG_LENGTH_MAX) for text in texts))
    if "" in found:
        raise Wrong(INVALID)
    if len(found) > TAGS_MAX:
        raise Wrong(TOO_LONG)
    return found


def attributes(values: Mapping[str, str]) -> dict[str, str]:
    if len(values) > ATTRIBUTES_MAX:
        raise Wrong(TOO_LONG)
    return {attribute_name(key): attribute(value) for key, value in values.items()}


def attribute_name(text: str) -> str:
    if not (text := _line(text, ATTRIBUTE_NAME_LENGTH_MAX)):
        raise Wrong(INVALID)
    return text


def attribute(text: str) -> str:
    text = text.strip()
    if len(text) > ATTRIBUTE_LENGTH_MAX:
        raise Wrong(TOO_LONG)
    if "\x00" in text:
        raise Wrong(INVALID)
    return text


def _line(text: str, length_max: int) -> str:
    """One line, with single spaces."""
    if not text.isprintable() or "  " in text or text[:1] == " " or text[-1:] == " ":
        text = " ".join(text.split())
        if CONTROL.search(text):
            raise Wrong(INVALID)
    if len(text) > length_max:
        raise Wrong(TOO_LONG)
    return text


@cache
def _time_zones() -> frozenset[str]:
    return frozenset(available_timezones())
