"""The SMS alphabet: encodings, units and segments (3GPP TS 23.038, 23.040).

GSM-7 holds 160 septets in one segment and 153 in each of several; UCS-2 holds 70 and 67 UTF-16 units. An escape pair
or a surrogate pair is never split, so segments are counted by packing.
"""

import re
import unicodedata
from enum import Enum

BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENSION = "^{}\\[~]|€\f"
_IS_BASIC = re.compile(f"[{re.escape(BASIC)}]*").fullmatch
_IS_GSM = re.compile(f"[{re.escape(BASIC + EXTENSION)}]*").fullmatch

# Greek capitals that look like Latin ones, and safe swaps; what is left out costs UCS-2.
_SWAPS: dict[int, int | str | None] = {
    **str.maketrans("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧ–—−‘’“”«»\u00a0\t", 'ABEZHIKMNOPTYX---\'\'""""  '),
    ord("…"): "...",
    **dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff")),
}
_KEPT = re.compile(r"\{\{[^{}]*\}\}|https?://\S+|\S+/[uo]/\w+")


class Encoding(Enum):
    """How a text travels: units that fit one segment, and each of several."""

    GSM_7 = (160, 153)
    UCS_2 = (70, 67)


def count(text: str) -> tuple[Encoding, int]:
    """The encoding of a text and its segments; the empty text is one."""
    if _IS_BASIC(text):
        length = len(text)
        return Encoding.GSM_7, 1 if length <= 160 else -(-length // 153)
    if _IS_GSM(text):
        wide = EXTENSION
        units = len(text) + sum(text.count(character) for character in EXTENSION)
        encoding = Encoding.GSM_7
    else:
        units = len(text.encode("utf-16-le", "surrogatepass")) // 2
        encoding, wide = Encoding.UCS_2, ""
    single, several = encoding.value
    if units <= single:
        return encoding, 1
    if not wide and units == len(text):
        return encoding, -(-units // several)
    return encoding, _packed(text, wide, several)


def _packed(text: str, wide: str, size: int) -> int:
    segments, used = 1, 0
    for character in text:
        units = 2 if character in wide or character > "\uffff" else 1
        if used + units > size:
            segments, used = segments + 1, 0
        used += units
    return segments


def ucs2_characters(text: str) -> list[str]:
    """The characters that GSM-7 lacks, each once, in the order of the text."""
    return [character for character in dict.fromkeys(text) if not _IS_GSM(character)]


def to_gsm(text: str) -> str:
    """The text in GSM-7 as far as it can be: accents stripped, Greek in capitals, look-alikes swapped.

    Links and merge fields stay as they are, and so does what has no likeness. Characters that GSM-7 has are kept.
    """
    parts, end = [], 0
    for kept in _KEPT.finditer(text):
        parts += [_folded(text[end : kept.start()]), kept[0]]
        end = kept.end()
    return "".join([*parts, _folded(text[end:])])


class _Folds(dict[int, str]):
    """What becomes of each character; looked up once, since a campaign folds the same few by the million."""

    def __missing__(self, code: int) -> str:
        folded = _fold(chr(code))
        # There are no more characters than that which people write.
        if len(self) < 10_000:
            self[code] = folded
        return folded


_FOLDS = _Folds()


def _folded(text: str) -> str:
    return text.translate(_FOLDS)


def _fold(character: str) -> str:
    if _IS_GSM(character):
        return character
    swapped = character.translate(_SWAPS)
    if _IS_GSM(swapped):
        return swapped
    stripped = "".join(part for part in unicodedata.normalize("NFD", character) if not unicodedata.combining(part))
    folded = (stripped.upper() if "\u0370" <= stripped[:1] <= "\u03ff" else stripped).translate(_SWAPS)
    return folded if _IS_GSM(folded) else character
