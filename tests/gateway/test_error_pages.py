"""A person who can't be shown a page is told so on a page; a program gets the JSON that it gets everywhere."""

import httpx
import pytest

from services.gateway import error_pages
from tests.gateway.servicers import MISSING_ID, Record

# What browsers send.
BROWSER = {"accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


async def test_a_browser_gets_a_page_in_both_languages(anonymous: httpx.AsyncClient) -> None:
    answer = await anonymous.get(f"/u/{MISSING_ID}", headers=BROWSER)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "<h1>Ο σύνδεσμος δεν οδηγεί πουθενά</h1>" in answer.text
    assert '<section class="card" lang="en"><h2>This link leads nowhere</h2>' in answer.text


async def test_a_program_gets_json(anonymous: httpx.AsyncClient) -> None:
    answer = await anonymous.get(f"/u/{MISSING_ID}")
    assert answer.json()["error"]["details"][0]["reason"] == "LINK_NOT_FOUND"


async def test_a_route_that_is_no_page_answers_a_browser_in_json(anonymous: httpx.AsyncClient) -> None:
    answer = await anonymous.get(f"/v1/contacts/{MISSING_ID}", headers=BROWSER)
    assert answer.status_code == 401
    assert answer.json()["error"]["status"] == "UNAUTHENTICATED"


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (404, "This link leads nowhere"),
        (429, "One moment"),
        (500, "Back in a moment"),
        (503, "Back in a moment"),
        (504, "Back in a moment"),
        (413, "Something went wrong"),
    ],
)
def test_each_kind_of_refusal_says_what_to_do(status: int, words: str) -> None:
    page = error_pages.page(status).decode()
    assert words in page
    assert len(page) < 4096


async def test_what_apps_add_to_a_link_does_not_break_it(anonymous: httpx.AsyncClient, record: Record) -> None:
    answer = await anonymous.get("/u/abcdefghijk?fbclid=x&utm_source=sms&language=en&fbclid=y")
    assert answer.status_code == 200
    assert (record.requests[-1].code, record.requests[-1].language) == ("abcdefghijk", "en")
