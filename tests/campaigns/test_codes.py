"""Codes in links: one to one, keyed, and of one length."""

from hypothesis import given
from hypothesis import strategies as st

from services.campaigns.codes import DIGITS, LENGTH, Codes, first_message_id, place

CODES = Codes(bytes(range(32)))
OTHERS = Codes(bytes(range(1, 33)))


@given(st.integers(0, (1 << 63) - 3))
def test_a_code_leads_back_to_its_id(id: int) -> None:
    for offset, code in enumerate(CODES.of_range(id, 3)):
        assert len(code) == LENGTH
        assert set(code) <= set(DIGITS)
        assert CODES.message_id(code) == id + offset


def test_codes_of_a_batch_differ_and_do_not_follow_each_other() -> None:
    codes = CODES.of_range(first_message_id(7), 5000)
    assert len(set(codes)) == 5000
    assert codes != sorted(codes)
    assert len({code[:3] for code in codes}) > 4000


def test_another_key_makes_other_codes() -> None:
    assert CODES.of_range(1, 100) != OTHERS.of_range(1, 100)


@given(st.text(max_size=14))
def test_what_is_no_code_leads_nowhere(text: str) -> None:
    id = CODES.message_id(text)
    assert id is None or CODES.of_range(id, 1) == [text]


def test_an_id_says_its_batch_and_index() -> None:
    assert place(first_message_id(123) + 4999) == (123, 4999)
