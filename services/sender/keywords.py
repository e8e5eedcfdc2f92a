"""What a customer's text asks for: keywords in English and Greek, however they are written.

A text is compared in the form that its letters have for the eye: without case, accents, direction marks, emojis and
punctuation, and with the letters that Greek, Latin and Cyrillic share taken for one. The keyword stands alone or is the
first word. A text that seems to refuse but begins with none is unclear: a person reads it.
"""

import re
import unicodedata

from astronote.sender.v1.inbound_pb2 import InboundText

STOP = "STOP STOPALL UNSUBSCRIBE CANCEL END QUIT REVOKE OPTOUT ARRET ΣΤΟΠ ΔΙΑΓΡΑΦΗ ΑΚΥΡΩΣΗ ΤΕΛΟΣ"
START = "START UNSTOP YES ΕΝΑΡΞΗ ΝΑΙ"
HELP = "HELP INFO ΒΟΗΘΕΙΑ"
# Beginnings of words that refuse, and phrases that do: English, Greek, Greek in Latin letters, and the neighbours'.
REFUSING_WORDS = (
    "STOP UNSUB OPTOUT REMOV DELET CANCEL QUIT SPAM HARASS ANNOY BLOCK COMPLAIN ARRET DESABON"
    " ΣΤΟΠ ΣΤΑΜΑΤ ΔΙΑΓΡΑΦ ΔΙΑΓΡΑΨ ΑΚΥΡ ΒΓΑΛ ΑΦΑΙΡ ΜΗ ΜΗΝ ΠΑΥΣ ΞΕΓΡΑΨ ΚΑΤΑΓΓΕΛ ΕΝΟΧΛ ΠΑΡΕΝΟΧΛ"
    " STAMAT DIAGRAF DIAGRAPS AKYR AKIR MHN MIN VGAL СТОП ОТПИ NO ΟΧΙ"
)
REFUSING_PHRASES = (
    "TAKE ME OFF|OFF THE LIST|OFF THIS LIST|OFF YOUR LIST|OPT OUT|DON T|DO NOT|DONT|NOT INTERESTED"
    "|LEAVE ME ALONE|NEVER AGAIN|WRONG NUMBER|WHO ARE YOU|GO AWAY|ΔΕΝ ΘΕΛ|ΑΦΗΣΤΕ ΜΕ|ΛΑΘΟΣ|DEN THEL"
)
# As they look in capitals. Y and U meet in the Greek upsilon, 0 and O everywhere.
_SHARED = str.maketrans("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧϹАВЕЅІЈКМНОРСТУХЗПФYҮ0", "ABEZHIKMNOPTUXCABESIJKMHOPCTUX3ΠΦUUO")
_BREAK = re.compile(r"[\W_]+")


def kind(text: str) -> InboundText.Kind.ValueType:
    """STOP, START, HELP, UNCLEAR, or OTHER, which asks for nothing; an empty text is such."""
    first, rest = _parted(skeleton(text).split())
    if first in _STOP:
        return InboundText.STOP
    if _refuses([first, *rest] if first not in _KEYWORDS else rest):
        return InboundText.UNCLEAR
    if first in _START:
        return InboundText.START
    return InboundText.HELP if first in _HELP else InboundText.OTHER


def skeleton(text: str) -> str:
    """The text as it looks: its letters and digits, words parted by one space."""
    shown = "".join(
        letter
        for letter in unicodedata.normalize("NFKD", text)
        if unicodedata.category(letter) not in ("Mn", "Me", "Cf")
    )
    return _BREAK.sub(" ", shown.upper().translate(_SHARED)).strip()


def _parted(words: list[str]) -> tuple[str, list[str]]:
    """The first word and the rest, also where it is spelled (`S.T.O.P`) or cut in two (`opt-out`)."""
    count = 0
    while count < len(words) and len(words[count]) == 1:
        count += 1
    if count < 2:
        is_cut = "".join(words[:1]) not in _KEYWORDS and "".join(words[:2]) in _KEYWORDS
        count = 2 if is_cut else 1
    return "".join(words[:count]), words[count:]


def _refuses(words: list[str]) -> bool:
    whole = f" {' '.join(words)} "
    return any(word.startswith(_STEMS) or word in _WORDS for word in words) or any(
        phrase in whole for phrase in _PHRASES
    )


_STOP, _START, _HELP = (frozenset(skeleton(words).split()) for words in (STOP, START, HELP))
_KEYWORDS = _STOP | _START | _HELP
# A short one means itself only.
_WORDS = frozenset(word for word in skeleton(REFUSING_WORDS).split() if len(word) < 4)
_STEMS = tuple(word for word in skeleton(REFUSING_WORDS).split() if len(word) >= 4)
_PHRASES = tuple(f" {skeleton(phrase)}" for phrase in REFUSING_PHRASES.split("|"))
