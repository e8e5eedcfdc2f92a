"""Texts with merge fields."""

import pytest

from services.campaigns.errors import TextInvalid
from services.campaigns.rendering import compile_text, preview

LINK = "http://x.gr/u/00000000000"


def test_values_and_defaults_take_their_places() -> None:
    text = compile_text("Γεια {{first_name|φίλε}}! {{ attributes.city }} {{first_name|you}} {{unsubscribe_link}}.")
    assert text.fields == ("first_name", "attributes.city")
    assert text.render(["Μαρία", "Πάτρα"], LINK) == f"Γεια Μαρία! Πάτρα Μαρία {LINK}."
    assert text.render(["", ""], LINK) == f"Γεια φίλε!  you {LINK}."


def test_the_way_out_is_added_where_the_text_has_none() -> None:
    assert compile_text("Hi").render([], LINK) == f"Hi\n{LINK}"


@pytest.mark.parametrize(
    ("text", "named", "said"),
    [
        ("Hi {{firstname}}", "merge_field", "firstname"),
        ("Hi {{firstname}}", "suggestion", "first_name"),
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
    assert preview(text, {"first_name": "Eva"}, LINK) == f"Eva friend [attributes.city]\n{LINK}"
