"""Days as people and spreadsheets write them."""

import re
from datetime import date, timedelta
from functools import lru_cache

from services.contacts.phones import CountryNeeded
from services.contacts.search import folded

# Where 2/3/1990 is the third of February (CLDR, date formats): the United States and what follows their customs.
MONTH_FIRST = frozenset(["AS", "BZ", "FM", "GU", "MH", "MP", "PH", "PR", "PW", "UM", "US", "VI"])
YEAR_FIRST = re.compile(r"(\d{4})[/.-](\d{1,2})[/.-](\d{1,2})")
NUMBERS = re.compile(r"(\d{1,2})[/.-](\d{1,2})[/.-](\d{4}|\d{2})")
WORDS = re.compile(r"(?:(\d{1,2})[ ./-]+)?([^\W\d]{3,})[ .,/-]+(?:(\d{1,2}),? +)?(\d{4})")
TIME = re.compile(r"[T ]\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?( ?[AaPp][Mm])?(Z|[+-]\d{2}:?\d{2})?$")
# A date as a spreadsheet counts it, in days from the end of 1899; from 1927 on, so that a year alone is none.
SERIAL = re.compile(r"([1-5]\d{4})(?:[.,]0+)?")
SERIAL_BEGIN = date(1899, 12, 30)
MONTHS = (
    "jan ιαν γεν", "feb φεβ φλεβ", "mar μαρ", "apr απρ", "may μαι μαη", "jun ιουν", "jul ιουλ", "aug αυγ", "sep σεπ",
    "oct οκτ", "nov νοε", "dec δεκ",
)  # fmt: skip
_MONTH_OF = {word: number for number, words in enumerate(MONTHS, 1) for word in words.split()}


@lru_cache(maxsize=65_536)
def iso(text: str, country: str, today: date) -> str:
    """`YYYY-MM-DD`, or the text as it is where it is no day. Raises `CountryNeeded` where only the country tells what
    is the day and what the month.
    """
    text = TIME.sub("", text.strip())
    if found := YEAR_FIRST.fullmatch(text):
        return _written(int(found[1]), int(found[2]), int(found[3]))
    if found := NUMBERS.fullmatch(text):
        first, second, year = int(found[1]), int(found[2]), _year(found[3], today)
        is_month_first = _is_month_first(first, second, country)
        return _written(year, first, second) if is_month_first else _written(year, second, first)
    if found := SERIAL.fullmatch(text):
        return (SERIAL_BEGIN + timedelta(int(found[1]))).isoformat()
    if (found := WORDS.fullmatch(text)) and (found[1] or found[3]) and (month := _month(found[2])):
        return _written(int(found[4]), month, int(found[1] or found[3]))
    return text


def _is_month_first(first: int, second: int, country: str) -> bool:
    if first > 12 or first == second:
        return False
    if second > 12:
        return True
    if not country:
        raise CountryNeeded
    return country in MONTH_FIRST


def _year(digits: str, today: date) -> int:
    """Two digits are the latest such year that is not to come."""
    if len(digits) == 4:
        return int(digits)
    century = today.year - today.year % 100
    return century + int(digits) - (100 if int(digits) > today.year % 100 else 0)


def _month(word: str) -> int | None:
    bare = folded(word)
    return _MONTH_OF.get(bare[:4]) or _MONTH_OF.get(bare[:3])


def _written(year: int, month: int, day: int) -> str:
    return f"{year:04}-{month:02}-{day:02}"
