"""Segments, by the table of GSM 03.38 edge cases and by a slow model."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit import gsm
from kit.gsm import Encoding

CAPITALS = "ΓΔΘΛΞΠΣΦΨΩ"
TABLE = [
    ("", Encoding.GSM_7, 1),
    ("a" * 160, Encoding.GSM_7, 1),
    ("a" * 161, Encoding.GSM_7, 2),
    ("a" * 306, Encoding.GSM_7, 2),
    ("a" * 307, Encoding.GSM_7, 3),
    ("a" * 158 + "€", Encoding.GSM_7, 1),
    ("a" * 159 + "€", Encoding.GSM_7, 2),
    ("a" * 152 + "€" + "a" * 152, Encoding.GSM_7, 3),
    ("a" * 151 + "€" + "a" * 153, Encoding.GSM_7, 2),
    ("α" * 70, Encoding.UCS_2, 1),
    ("α" * 71, Encoding.UCS_2, 2),
    ("α" * 134, Encoding.UCS_2, 2),
    ("α" * 135, Encoding.UCS_2, 3),
    ("😀" * 35, Encoding.UCS_2, 1),
    ("😀" * 36, Encoding.UCS_2, 2),
    ("α" * 66 + "😀" + "α" * 66, Encoding.UCS_2, 3),
    (CAPITALS * 16, Encoding.GSM_7, 1),
    ("Α" * 71, Encoding.UCS_2, 2),
]


@pytest.mark.parametrize(("text", "encoding", "segments"), TABLE)
def test_the_known_cases(text: str, encoding: Encoding, segments: int) -> None:
    assert gsm.count(text) == (encoding, segments)


def model(text: str) -> tuple[Encoding, int]:
    """Packs character by character, as a phone would see it."""
    is_gsm = all(character in gsm.BASIC + gsm.EXTENSION for character in text)
    encoding = Encoding.GSM_7 if is_gsm else Encoding.UCS_2
    widths = [(2 if c in gsm.EXTENSION else 1) if is_gsm else len(c.encode("utf-16-le")) // 2 for c in text]
    single, several = encoding.value
    if sum(widths) <= single:
        return encoding, 1
    segments, used = 1, 0
    for width in widths:
        if used + width > several:
            segments, used = segments + 1, 0
        used += width
    return encoding, segments


ALPHABET = st.sampled_from("aZ09 €^{}\\|~[]@ΓΩ\nαΑς😀ç`")


@given(st.text(ALPHABET, max_size=500))
def test_counts_as_a_phone_packs(text: str) -> None:
    assert gsm.count(text) == model(text)


@given(st.text(max_size=200))
def test_folding_never_costs_more(text: str) -> None:
    assert gsm.count(gsm.to_gsm(text))[1] <= max(gsm.count(text)[1], 1)


def test_greek_folds_to_capitals_and_links_stay() -> None:
    text = "Καλημέρα Μαρία, –20 % έως τις 5… https://σ.gr/ά {{first_name|φίλε}}"
    assert gsm.to_gsm(text) == "KAΛHMEPA MAPIA, -20 % EΩΣ TIΣ 5... https://σ.gr/ά {{first_name|φίλε}}"
    assert gsm.ucs2_characters("αab€α😀") == ["α", "😀"]
