"""The pages behind the links, without a database: whose language, whose time, and what others wrote into them."""

import re
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astronote.campaigns.v1.offers_pb2 import Offer, OfferTerms
from services.campaigns import link_pages, offers
from services.campaigns.link_pages import Reader
from services.campaigns.link_words import BY_LANGUAGE, ENGLISH, GREEK, spoken_time, words_for

CODE = "abcdefghijk"
HOSTILE = "<script>alert(1)</script>\"'{shop}$code&amp;"


class Seen(HTMLParser):
    """What a browser sees: the tags, and the words outside of the style."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(re.sub(r"<style>.*?</style>", "", page.decode(), flags=re.DOTALL))

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize(
    ("choice", "language", "phone", "expected"),
    [
        ("", "el", "+447400123456", GREEK),
        ("", "EL-gr", "+447400123456", GREEK),
        ("", "en", "+306912345678", ENGLISH),
        ("", "de", "+306912345678", ENGLISH),
        ("", "", "+306912345678", GREEK),
        ("", "", "+35799123456", GREEK),
        ("", "", "+35312345678", ENGLISH),
        ("en", "el", "+306912345678", ENGLISH),
        ("el", "en", "+447400123456", GREEK),
        ("fr", "el", "+306912345678", GREEK),
    ],
)
def test_a_page_is_in_the_readers_language(choice: str, language: str, phone: str, expected: object) -> None:
    assert words_for(choice, language, phone) is expected


@pytest.mark.parametrize(
    ("zone", "expected"),
    [
        ("Europe/Athens", "25 Μαρτίου 2026, 02:30"),
        ("Asia/Nicosia", "25 Μαρτίου 2026, 02:30"),
        ("America/New_York", "24 Μαρτίου 2026, 20:30"),
        ("", "25 Μαρτίου 2026, 00:30"),
        ("Nowhere/Land", "25 Μαρτίου 2026, 00:30"),
    ],
)
def test_a_time_is_the_shops(zone: str, expected: str) -> None:
    assert spoken_time(datetime(2026, 3, 25, 0, 30, tzinfo=UTC), zone, GREEK) == expected


@pytest.mark.parametrize("words", BY_LANGUAGE.values())
@pytest.mark.parametrize("state", [Offer.OPEN, Offer.REDEEMED, Offer.EXPIRED])
def test_what_a_shop_writes_stays_words(words: object, state: Offer.State.ValueType) -> None:
    reader = Reader(CODE, HOSTILE, "Europe/Athens", words)  # type: ignore[arg-type]
    terms = OfferTerms(title=HOSTILE, text=HOSTILE)
    for page in (
        link_pages.offer(reader, Offer(till_code="123456789", state=state, terms=terms)),
        link_pages.unsubscribe(reader),
        link_pages.unsubscribed(reader),
    ):
        seen = Seen(page.data)
        assert HOSTILE in seen.text
        assert "script" not in seen.tags
        assert len(page.data) < 8000


def test_an_offer_without_words_has_a_title_still() -> None:
    reader = Reader(CODE, "Cafe", "Europe/Athens", ENGLISH)
    page = link_pages.offer(reader, Offer(till_code="123456789", state=Offer.OPEN, terms=OfferTerms(title=" ")))
    assert "<h1>Your offer</h1>" in page.data.decode()


@given(st.integers(min_value=0, max_value=10**9 - 1), st.lists(st.sampled_from(" -\t\u00a0"), max_size=8))
def test_a_till_code_is_read_however_it_is_spaced(number: int, spaces: list[str]) -> None:
    code = next(offers.till_codes(lambda _: number))
    typed = list(code)
    for at, space in enumerate(spaces):
        typed.insert(at * 2 % (len(typed) + 1), space)
    assert offers.till_code("".join(typed)) == code


@given(st.text(max_size=30))
def test_what_is_no_till_code_is_none(text: str) -> None:
    found = offers.till_code(text)
    assert found == "" or (len(found) == 9 and set(found) <= set("0123456789"))
