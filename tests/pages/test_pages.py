"""The pages behind the links in the texts, as a customer meets them: a phone, its browser, and a text that was sent."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.async_api import expect

from astronote.campaigns.v1.offers_pb2 import GetOfferRequest, Offer, OfferTerms, RedeemOfferRequest
from astronote.campaigns.v1.offers_pb2_grpc import OffersServiceStub
from astronote.contacts.v1.contacts_pb2 import Contact, ListContactsRequest
from astronote.contacts.v1.contacts_pb2_grpc import ContactsServiceStub
from tests.conftest import TestMesh
from tests.pages.conftest import Phone, Post
from tests.pages.inspection import faults, keyboard_stops
from tests.pages.scanner import scanned

TITLE = "−20% σε όλους τους καφέδες"
TEXT = "Για καφέ σε κόκκους ή αλεσμένο, σε όλα τα καταστήματα.\nΔεν ισχύει μαζί με άλλες προσφορές."


def terms(**fields: Any) -> OfferTerms:
    return OfferTerms(title=TITLE, text=TEXT, expire_time=datetime(2031, 11, 30, 19, 0, tzinfo=UTC), **fields)


async def unsubscribed(post: Post) -> list[str]:
    request = ListContactsRequest(subscription=Contact.UNSUBSCRIBED)
    page = await post.shop.call(ContactsServiceStub, "ListContacts", request, "contacts")
    return [contact.phone for contact in page.contacts]


async def offer_of(post: Post, code: str) -> Offer:
    return await post.shop.call(OffersServiceStub, "GetOffer", GetOfferRequest(code=code))


@pytest.mark.parametrize("script", [True, False])
async def test_who_presses_the_button_gets_no_more_texts(phone: Phone, post: Post, script: bool) -> None:
    number, code = await post.text()
    page = await phone.open(f"/u/{code}", java_script_enabled=script)
    await expect(page.get_by_role("banner")).to_have_text("Καφέ Ακρόπολη")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Διαγραφή από τα μηνύματα")
    assert await unsubscribed(post) == [], "looking changes nothing"
    await page.get_by_role("button", name="Διαγραφή").tap()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Έγινε")
    await expect(page.get_by_role("main")).to_contain_text("Το κατάστημα Καφέ Ακρόπολη δεν θα σας στέλνει")
    assert await unsubscribed(post) == [number]
    assert number[3:] not in await page.content()
    again = await phone.open(f"/u/{code}")
    await again.get_by_role("button").tap()
    await expect(again.get_by_role("heading", level=1)).to_have_text("Έγινε")
    assert phone.complaints == []


async def test_an_offer_is_shown_scanned_and_redeemed_at_the_till(phone: Phone, post: Post) -> None:
    _, code = await post.text(offer=terms())
    page = await phone.open(f"/o/{code}", java_script_enabled=False)
    await expect(page.get_by_role("banner")).to_have_text("Καφέ Ακρόπολη")
    await expect(page.get_by_role("heading", level=1)).to_have_text(TITLE)
    await expect(page.get_by_text("30 Νοεμβρίου 2031, 21:00")).to_be_visible()
    figures = await page.locator(".code").inner_text()
    picture = page.get_by_role("img", name=f"Κωδικός QR: {figures}")
    assert scanned(await page.locator(".qr svg").screenshot()) == figures.replace(" ", "")
    box = await picture.bounding_box()
    assert box, "it is on the page"
    assert box["y"] + box["height"] < 844, "the code is seen without scrolling"
    redeemed = RedeemOfferRequest(code=figures)
    assert (await post.shop.call(OffersServiceStub, "RedeemOffer", redeemed)).state == Offer.REDEEMED
    await page.reload()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Η προσφορά χρησιμοποιήθηκε")
    await expect(page.get_by_role("img")).to_have_count(0)
    assert await faults(page) == []
    assert phone.complaints == []


async def test_an_offer_that_is_over_says_so(phone: Phone, post: Post) -> None:
    brief = OfferTerms(title=TITLE, expire_time=datetime.now(UTC) + timedelta(seconds=8))
    _, code = await post.text(offer=brief, language="en")
    page = await phone.open(f"/o/{code}")
    while await page.get_by_role("img").count():
        await page.wait_for_timeout(200)
        await page.reload()
    await expect(page.get_by_role("heading", level=1)).to_have_text("This offer has ended")
    assert await faults(page) == []


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
@pytest.mark.parametrize("kind", ["u", "o"])
async def test_everybody_can_read_and_use_a_page(phone: Phone, post: Post, kind: str, color_scheme: str) -> None:
    _, code = await post.text(offer=terms())
    page = await phone.open(f"/{kind}/{code}", color_scheme=color_scheme)
    assert await faults(page) == []
    stops = await keyboard_stops(page)
    assert stops == (["Διαγραφή", "English"] if kind == "u" else ["English", "Διαγραφή από τα μηνύματα"])
    if kind == "o":
        figures = (await page.locator(".code").inner_text()).replace(" ", "")
        assert scanned(await page.locator(".qr svg").screenshot()) == figures
    assert phone.complaints == []
    assert all(url.startswith(phone.url) for url in phone.asked)


async def test_the_keyboard_alone_is_enough(phone: Phone, post: Post) -> None:
    number, code = await post.text(language="en")
    page = await phone.open(f"/u/{code}", is_mobile=False, has_touch=False)
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Done")
    assert await unsubscribed(post) == [number]


@pytest.mark.parametrize(("width", "zoom"), [(320, 1), (390, 2)])
async def test_long_words_on_a_small_screen_stay_on_it(phone: Phone, post: Post, width: int, zoom: int) -> None:
    long = OfferTerms(title="Ηλεκτροεγκεφαλογραφήματα" * 3, text="x" * 600)
    _, code = await post.text(offer=long)
    for kind in "uo":
        size = {"width": width // zoom, "height": 600 // zoom}
        page = await phone.open(f"/{kind}/{code}", viewport=size, is_mobile=False)
        assert await faults(page) == []


async def test_the_reader_chooses_the_language_and_keeps_it(phone: Phone, post: Post) -> None:
    number, code = await post.text(offer=terms())
    page = await phone.open(f"/o/{code}?fbclid=what-an-app-adds")
    await page.get_by_role("link", name="English").tap()
    await expect(page.get_by_role("heading", level=2)).to_have_text("Show this code at the till")
    await page.get_by_role("link", name="Unsubscribe from texts").tap()
    await page.get_by_role("button", name="Unsubscribe").tap()
    await expect(page.get_by_role("main")).to_contain_text("Καφέ Ακρόπολη will send you no more texts.")
    await expect(page.locator("html")).to_have_attribute("lang", "en")
    assert await unsubscribed(post) == [number]


@pytest.mark.parametrize(
    ("language", "prefix", "shown"), [("", "+44740", "en"), ("el-GR", "+44740", "el"), ("de", "+30694", "en")]
)
async def test_a_page_speaks_what_its_reader_speaks(
    phone: Phone, post: Post, language: str, prefix: str, shown: str
) -> None:
    _, code = await post.text(language, prefix)
    page = await phone.open(f"/o/{code}")
    await expect(page.locator("html")).to_have_attribute("lang", shown)


async def test_a_broken_link_gets_a_page_in_both_languages(phone: Phone) -> None:
    for path in ("/u/00000000000", "/o/nothing", "/o/%CE%A9"):
        page = await phone.open(path)
        await expect(page.get_by_role("heading", level=1)).to_have_text("Ο σύνδεσμος δεν οδηγεί πουθενά")
        await expect(page.get_by_text("This link leads nowhere")).to_be_visible()
        assert await faults(page) == []


async def test_a_page_whose_service_is_away_says_when_to_come_again(phone: Phone, post: Post, mesh: TestMesh) -> None:
    _, code = await post.text()
    page = await phone.open(f"/u/{code}")
    await mesh.stop("contacts")
    try:
        await page.get_by_role("button").tap()
        await expect(page.get_by_role("heading", level=1)).to_have_text("Επιστρέφουμε σύντομα")
        assert await faults(page) == []
    finally:
        await mesh.service("contacts")
    await page.reload()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Έγινε")
