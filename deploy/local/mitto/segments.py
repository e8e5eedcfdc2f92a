"""Counts the segments of a text as the provider bills them; apart from `kit.gsm`, so that each checks the other."""

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED = frozenset("^{}\\[~]|€\f")


def segments(text: str) -> int:
    """How many segments `text` takes: GSM-7 in septets (160, then 153 each), else UCS-2 in units (70, then 67)."""
    if all(character in _BASIC or character in _EXTENDED for character in text):
        return _packed([2 if character in _EXTENDED else 1 for character in text], alone=160, joined=153)
    return _packed([2 if ord(character) > 0xFFFF else 1 for character in text], alone=70, joined=67)


def _packed(widths: list[int], *, alone: int, joined: int) -> int:
    """Segments for characters of these widths; a character of two units is never split across segments."""
    if sum(widths) <= alone:
        return 1
    count, room = 1, joined
    for width in widths:
        if width > room:
            count, room = count + 1, joined
        room -= width
    return count
