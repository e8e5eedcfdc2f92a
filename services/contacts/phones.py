"""Phone numbers in E.164.

The common forms (digits, with or without country code or trunk prefix) are held against regexes compiled from
phonenumbers' own metadata, about a microsecond each; everything else is parsed by phonenumbers itself (26 µs). Where
the regexes say yes, phonenumbers says the same: a test walks through every region.
"""

import re
from dataclasses import dataclass
from functools import cache

import phonenumbers
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata, PhoneNumberFormat

from services.contacts.errors import PhoneInvalid

E164 = re.compile(r"\+[1-9][0-9]{6,14}")
LENGTH_MAX = 40
DIGITS_MIN = 4
# What spreadsheets and address books put round a number, marks of direction among them.
_WRAPPING = " \t\r\n\u00a0='\"\u200e\u200f\u202a\u202c\u202d\ufeff"
_PUNCTUATION = str.maketrans("", "", " -().\u00a0")


class CountryNeeded(Exception):
    """The number does not say its country, and none was given."""


def normalized(text: str, country: str = "") -> str:
    """E.164 of a number as people write it; without `+` or `00` it is read by the country (ISO 3166-1 alpha-2).

    Refuses `PhoneInvalid`; raises `CountryNeeded`.
    """
    text = text.strip(_WRAPPING)
    digits = text.translate(_PUNCTUATION)
    if digits[:2] == "00":
        digits = "+" + digits[2:]
    if digits[:1] == "+":
        return _international(digits) or _parsed(digits, text, None)
    if not country:
        _check(text)
        raise CountryNeeded
    return _national(digits, country) or _parsed(text, text, country)


def is_e164(phone: str) -> bool:
    return E164.fullmatch(phone) is not None


def _check(text: str) -> None:
    """Refuses what is a number in no country. phonenumbers reads letters as keys and drops extensions; neither can be
    texted.
    """
    has_others = any(letter.isalpha() or letter in "#*;," for letter in text)
    if has_others or len(text) > LENGTH_MAX or sum(map(str.isdigit, text)) < DIGITS_MIN:
        raise PhoneInvalid(field="contact.phone")


def _parsed(number: str, text: str, country: str | None) -> str:
    _check(text)
    try:
        parsed = phonenumbers.parse(number, country)
    except phonenumbers.NumberParseException as error:
        raise PhoneInvalid(field="contact.phone") from error
    if not phonenumbers.is_valid_number(parsed):
        raise PhoneInvalid(field="contact.phone")
    return phonenumbers.format_number(parsed, PhoneNumberFormat.E164)


def _international(number: str) -> str:
    """E.164 when the number is of a common form, else empty."""
    digits = number[1:]
    if not (digits.isascii() and digits.isdigit()) or digits[0] == "0":
        return ""
    for length in (2, 1, 3):
        if plan := _plan_of_code(digits[:length]):
            national = digits[length:]
            return number if plan.has(national) and not plan.begins_with_prefix(national) else ""
    return ""


def _national(digits: str, country: str) -> str:
    """E.164 when the number is of a common form, else empty."""
    plan = _plan_of_country(country)
    if plan is None or not (digits.isascii() and digits.isdigit()) or plan.begins_abroad(digits):
        return ""
    if plan.has(digits):
        return "" if plan.begins_with_prefix(digits) else f"+{plan.code}{digits}"
    if digits.startswith(plan.code):
        rest = digits.removeprefix(plan.code)
        common = plan.has(rest) and not plan.begins_with_prefix(rest) and not plan.general.fullmatch(digits)
        return f"+{digits}" if common else ""
    if plan.trunk and digits.startswith(plan.trunk):
        rest = digits.removeprefix(plan.trunk)
        return f"+{plan.code}{rest}" if plan.has(rest) else ""
    return ""


@dataclass(frozen=True, slots=True)
class _Kind:
    """Numbers of one kind: how long they are (any length where none is said) and what they look like."""

    lengths: tuple[int, ...]
    pattern: re.Pattern[str]

    def has(self, national: str) -> bool:
        return (not self.lengths or len(national) in self.lengths) and self.pattern.fullmatch(national) is not None


@dataclass(frozen=True, slots=True)
class _Plan:
    """The numbering plan of the main region of a country code."""

    code: str
    general: re.Pattern[str]
    kinds: tuple[_Kind, ...]
    #: What a number loses before it is read; the trunk prefix where that is all it is.
    prefix: re.Pattern[str] | None
    trunk: str
    #: What is dialled for another country.
    abroad: re.Pattern[str] | None

    def has(self, national: str) -> bool:
        """Whether it is a fixed or mobile number, without its prefix."""
        return any(kind.has(national) for kind in self.kinds) and self.general.fullmatch(national) is not None

    def begins_with_prefix(self, digits: str) -> bool:
        return self.prefix is not None and self.prefix.match(digits) is not None

    def begins_abroad(self, digits: str) -> bool:
        return self.abroad is not None and self.abroad.match(digits) is not None


@cache
def _plan_of_code(code: str) -> _Plan | None:
    regions = COUNTRY_CODE_TO_REGION_CODE.get(int(code or 0), ("001",))
    # A plan that leading digits tell apart is phonenumbers' own business.
    return None if regions[0] == "001" else _compiled(regions[0])


@cache
def _plan_of_country(country: str) -> _Plan | None:
    plan = _compiled(country)
    return plan if plan and COUNTRY_CODE_TO_REGION_CODE[int(plan.code)][0] == country else None


@cache
def _compiled(region: str) -> _Plan | None:
    found = PhoneMetadata.metadata_for_region(region, None)
    if found is None or found.leading_digits is not None:
        return None
    assert found.general_desc is not None
    general = re.compile(found.general_desc.national_number_pattern or "")
    kinds = [
        _Kind(
            tuple(length for length in kind.possible_length if length > 0)
            or tuple(length for length in found.general_desc.possible_length if length > 0),
            re.compile(kind.national_number_pattern),
        )
        for kind in (found.mobile, found.fixed_line)
        if kind is not None and kind.national_number_pattern
    ]
    prefix, trunk = found.national_prefix_for_parsing, found.national_prefix or ""
    is_literal = prefix == trunk and found.national_prefix_transform_rule is None
    return _Plan(
        code=str(found.country_code),
        general=general,
        kinds=tuple(dict.fromkeys(kinds)),
        prefix=re.compile(prefix) if prefix else None,
        trunk=trunk if is_literal else "",
        abroad=re.compile(found.international_prefix) if found.international_prefix else None,
    )
