"""Cells as people and spreadsheets write them: days, phones that were made numbers, words for gender and consent."""

from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.contacts import days, spoiled
from services.contacts.columns import Header
from services.contacts.phones import CountryNeeded
from services.contacts.rows import Reader, Rejected

TODAY = date(2026, 11, 22)


@pytest.mark.parametrize(
    ("cell", "country", "day"),
    [
        ("1990-02-28", "", "1990-02-28"), ("1990/2/8", "", "1990-02-08"), ("1990.12.31", "", "1990-12-31"),
        ("28/2/1990", "", "1990-02-28"), ("2/28/1990", "", "1990-02-28"), ("3/3/1990", "", "1990-03-03"),
        ("2/3/1990", "GR", "1990-03-02"), ("2.3.1990", "DE", "1990-03-02"), ("2-3-1990", "US", "1990-02-03"),
        ("02/03/90", "GR", "1990-03-02"), ("2/3/26", "GR", "2026-03-02"), ("2/3/27", "GR", "1927-03-02"),
        ("1990-02-28 00:00:00", "", "1990-02-28"), ("1990-02-28T10:00:00Z", "", "1990-02-28"),
        ("28/2/1990 3:15 PM", "", "1990-02-28"), ("32874", "", "1990-01-01"), ("32874.0", "", "1990-01-01"),
        ("28 Feb 1990", "", "1990-02-28"), ("February 28, 1990", "", "1990-02-28"), ("28-Feb-1990", "", "1990-02-28"),
        ("28 Φεβρουαρίου 1990", "", "1990-02-28"), ("1 Μαΐου 1990", "", "1990-05-01"),
        ("5 Ιουλ 1990", "", "1990-07-05"),
        # What is no day stays, and is refused as a birthday.
        ("1990", "", "1990"), ("tomorrow", "", "tomorrow"), ("28 Foo 1990", "", "28 Foo 1990"), ("", "", ""),
        ("31/2/1990", "", "1990-02-31"), ("99999", "", "99999"),
    ],
)  # fmt: skip
def test_days(cell: str, country: str, day: str):
    assert days.iso(cell, country, TODAY) == day


def test_an_ambiguous_day_asks_for_the_country():
    with pytest.raises(CountryNeeded):
        days.iso("2/3/1990", "", TODAY)


@given(st.dates(date(1927, 6, 1), TODAY), st.sampled_from(["GR", "US"]))
def test_every_day_is_read_in_every_form(day: date, country: str):
    first, second = (day.month, day.day) if country == "US" else (day.day, day.month)
    serial = day - date(1899, 12, 30)
    forms = [f"{first}/{second}/{day.year}", f"{first:02}.{second:02}.{day.year}", str(serial // timedelta(days=1))]
    assert {days.iso(form, country, TODAY) for form in [*forms, str(day)]} == {str(day)}


@pytest.mark.parametrize(
    ("cell", "phone"),
    [
        ("3.06912345678E+11", "306912345678"), ("3,06912345678E+11", "306912345678"),
        ("306912345678.0", "306912345678"), ("6912345678,00", "6912345678"),
        (" 6912345678.0 ", "6912345678"), ("691.234.5678", "691.234.5678"),
        ("+306912345678", "+306912345678"), ("", ""),
    ],
)  # fmt: skip
def test_phones_that_a_spreadsheet_made_numbers(cell: str, phone: str):
    assert spoiled.restored(cell) == phone


def test_lost_digits_are_never_guessed():
    for cell in ("3.06912E+11", "6,91E+09", "6.912345678E+11"):
        with pytest.raises(spoiled.Rounded):
            spoiled.restored(cell)


def person(**cells: str) -> dict[str, Any]:
    header = Header(list(cells), list(cells), ",")
    found = Reader(header, country="GR", today=TODAY, is_update=False).person(list(cells.values()))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("field", "words", "value"),
    [
        ("gender", ["m", "Male", "Άνδρας", "ΑΝΤΡΑΣ", "κος.", "Κύριος", "Mr."], "MALE"),
        ("gender", ["F", "female", "Γυναίκα", "θήλυ", "Κα", "κυρία"], "FEMALE"),
        ("gender", ["other", "ΆΛΛΟ"], "OTHER"),
        ("subscription", ["yes", "ΝΑΙ", "1", "true", "Subscribed"], "SUBSCRIBED"),
        ("subscription", ["no", "Όχι", "0", "FALSE", "unsubscribed"], "UNSUBSCRIBED"),
    ],
)
def test_words_in_english_and_greek(field: str, words: list[str], value: str):
    assert {person(phone="6912345678", **{field: word})[field] for word in words} == {value}


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ({"phone": "3.06912E+11"}, "PHONE_ROUNDED"),
        ({"phone": "#N/A"}, "PHONE_INVALID"),
        ({"phone": " "}, "PHONE_MISSING"),
        ({"phone": "6912345678", "first_name": "#REF!"}, "SPREADSHEET_ERROR"),
        ({"phone": "6912345678", "birthday": "31/2/1990"}, "BIRTHDAY_INVALID"),
        ({"phone": "6912345678", "birthday": "1/1/2027"}, "BIRTHDAY_INVALID"),
        ({"phone": "6912345678", "gender": "sometimes"}, "GENDER_INVALID"),
    ],
)
def test_a_wrong_cell_says_why(cells: dict[str, str], reason: str):
    with pytest.raises(Rejected, match=reason):
        person(**({"first_name": "x"} | cells))


def test_what_people_put_round_a_phone_is_no_part_of_it():
    cells = ["'6912345678", '="6912345678"', "691 234 5678", "(+30) 691-2345678", "00306912345678", "6912345678.0"]
    assert {person(phone=cell, first_name="x")["phone"] for cell in cells} == {"+306912345678"}
