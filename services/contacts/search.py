"""Search without case and accents, in Greek and Latin: what is stored to be searched, and what is searched for."""

import re
import unicodedata
from functools import lru_cache

# Stands between the parts of a search text, so that a word never matches across two of them.
SEPARATOR = "\x1f"
Q_LENGTH_MAX = 200
WORDS_MAX = 10
NOT_DIGITS = re.compile(r"[^0-9]")
LIKE_SPECIAL = re.compile(r"([\\%_])")
PHONE_LIKE = re.compile(r"[0-9\s+().-]+")
CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def folded(text: str) -> str:
    """Without accents and case; final sigma is a sigma."""
    return text.lower() if text.isascii() else _folded(text)


# Names come again and again; what is ASCII is no more than looked up, and an email would come but once.
@lru_cache(maxsize=16_384)
def _folded(text: str) -> str:
    bare = "".join(letter for letter in unicodedata.normalize("NFD", text) if not unicodedata.combining(letter))
    return unicodedata.normalize("NFC", bare.casefold())


def search_text(first_name: str, last_name: str, phone: str, email: str) -> str:
    """Four parts, in this order; the import's SQL takes it apart by `SEPARATOR`."""
    return SEPARATOR.join((folded(first_name), folded(last_name), phone[1:], folded(email)))


def patterns(q: str) -> list[str]:
    """LIKE patterns, all of which a search text has to match: one a word, one for all of a phone."""
    q = q[:Q_LENGTH_MAX]
    if PHONE_LIKE.fullmatch(q) and (digits := NOT_DIGITS.sub("", q)):
        return [f"%{digits.removeprefix('00')}%"]
    words = CONTROL.sub(" ", folded(q)).split()
    return ["%" + LIKE_SPECIAL.sub(r"\\\1", word) + "%" for word in words[:WORDS_MAX]]
