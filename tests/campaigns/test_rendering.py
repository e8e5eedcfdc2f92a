"""Texts with merge fields."""

import pytest

from kit import gsm
from services.campaigns.errors import TextInvalid
from services.campaigns.rendering import compile_text, preview

BASE_URL, CODE = "http://x.gr", "00000000000"
LINK, OFFER_LINK = f"{BASE_URL}/u/{CODE}", f"{BASE_URL}/o/{CODE}"


def test_values_and_defaults_take_their_places() -> None:
    greeting = "Γεια {{first_name|φίλε}}! {{ attributes.city }} {{first_name|you}} {{unsubscribe_link}}."
    text = compile_text(greeting, BASE_URL)
    assert text.fields == ("first_name", "attributes.city", "language")
    assert text.render(["Μαρία", "Πάτρα"], CODE) == f"Γεια Μαρία! Πάτρα Μαρία {LINK}."
    assert text.render(["", ""], CODE) == f"Γεια φίλε!  you {LINK}."


def test_the_way_out_is_added_where_the_text_has_none() -> None:
    assert compile_text("Hi", BASE_URL).render([], CODE) == f"Hi\n{LINK}"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Hi", "View offer"),
        ("Γεια σου", "Δείτε την προσφορά"),
        ("ΓEIA ΣOY", "ΔEITE THN ΠPOΣΦOPA"),
        ("Hi {{first_name|φίλε}} from Caffè", "View offer"),
    ],
)
def test_an_offer_is_linked_in_the_texts_own_language_and_alphabet(text: str, words: str) -> None:
    rendered = compile_text(text, BASE_URL, with_offer=True).render(["Maria"], CODE)
    without = compile_text(text, BASE_URL).render(["Maria"], CODE)
    assert rendered == without.replace(f"\n{LINK}", f"\n{words}: {OFFER_LINK}\n{LINK}")
    assert gsm.count(rendered)[0] == gsm.count(without)[0], "the words do not make the text dearer than it is"


def test_an_offer_stands_where_the_text_places_it() -> None:
    text = compile_text("{{offer_link}}: -20%", BASE_URL, with_offer=True)
    assert text.render([], CODE) == f"{OFFER_LINK}: -20%\n{LINK}"
    assert text.fields == ("language",)


@pytest.mark.parametrize(
    ("text", "named", "said"),
    [
        ("Hi {{firstname}}", "merge_field", "firstname"),
        ("Hi {{firstname}}", "suggestion", "first_name"),
        ("Hi {{First Name}}", "suggestion", "first_name"),
        ("Hi {{ LASTNAME }}", "suggestion", "last_name"),
        ("Hi {{city}}", "suggestion", "attributes.city"),
        ("Hi {{attribute.city}}", "suggestion", "attributes.city"),
        ("Hi {{a;b}}", "suggestion", ""),
        ("Hi {{}}", "merge_field", ""),
        ("Hi {{first_name}", "braces", "{{ and }} stand round a merge field only"),
        ("Hi }} there", "braces", "{{ and }} stand round a merge field only"),
        ("Hi {{ {{first_name}} }}", "braces", "{{ and }} stand round a merge field only"),
        ("   ", "characters", "3"),
        ("a" * 1531, "characters_max", "1530"),
    ],
)
def test_a_wrong_text_is_refused_with_what_is_wrong(text: str, named: str, said: str) -> None:
    with pytest.raises(TextInvalid) as refused:
        compile_text(text)
    assert refused.value.metadata[named] == said
    assert refused.value.metadata["field"] == "text"


def test_a_preview_shows_values_defaults_and_names() -> None:
    text = "{{first_name}} {{last_name|friend}} {{attributes.city}}"
    assert preview(text, {"first_name": "Eva"}, BASE_URL) == f"Eva friend [attributes.city]\n{LINK}"
