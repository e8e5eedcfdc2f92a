"""A phone's browser before a gateway and the services behind it, in this process; and a shop whose texts went out."""

import asyncio
import os
import secrets
import shutil
from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from deploy.local.mitto import MittoStandIn
from services.gateway.serving import Serving
from services.gateway.settings import Settings
from tests.campaigns.shop import Shop, registered
from tests.conftest import TestMesh
from tests.sender.road import provider

# The machine's own: Playwright's would have to be downloaded.
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
# A common phone of today: 390 by 844 points, two pixels each way a point.
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 2,
    "is_mobile": True,
    "has_touch": True,
}


class Phone:
    """Opens each page in a window of its own, and remembers what the pages complained of and asked for."""

    def __init__(self, browser: Browser, url: str) -> None:
        self._browser, self.url = browser, url
        self._contexts: list[BrowserContext] = []
        self.complaints: list[str] = []
        self.asked: list[str] = []

    async def open(self, path: str, **options: Any) -> Page:
        context = await self._browser.new_context(**{**PHONE, "base_url": self.url, **options})
        self._contexts.append(context)
        page = await context.new_page()
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("request", lambda request: self.asked.append(request.url))
        await page.goto(path)
        return page

    async def close(self) -> None:
        for context in self._contexts:
            await context.close()


class Post:
    """A shop's texts, as the provider accepted them."""

    def __init__(self, shop: Shop, mitto: MittoStandIn) -> None:
        self.shop, self._mitto = shop, mitto

    async def text(self, language: str = "", prefix: str = "+30694", **fields: Any) -> tuple[str, str]:
        """The phone that a text was sent to, and the code in its links."""
        phone = f"{prefix}{secrets.randbelow(10**7):07d}"
        await self.shop.contact(phone, first_name="Ελένη", language=language)
        campaign = await self.shop.campaign(**{"offer_link": True, **fields})
        await self.shop.do("SendCampaign", campaign.id)
        async with asyncio.timeout(30):
            while not (accepted := self._mitto.accepted(phone)):
                await asyncio.sleep(0.05)
        return phone, accepted[-1]["text"][-11:]


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    if CHROMIUM is None:
        missing = "there is no Chromium on this machine (Debian: apt-get install chromium)"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    async with async_playwright() as playwright:
        # Chromium's own sandbox does not run as root, and the pages are ours.
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        await browser.close()


@pytest.fixture(scope="module")
async def mitto(mesh: TestMesh) -> AsyncIterator[MittoStandIn]:
    for name in ("accounts", "contacts", "campaigns"):
        await mesh.service(name)
    async with provider(mesh, {}) as mitto:
        yield mitto


@pytest.fixture(scope="module")
async def serving(mesh: TestMesh, mitto: MittoStandIn) -> AsyncIterator[Serving]:
    async with Serving(Settings(host="127.0.0.1", port=0, **mesh.mesh_settings("gateway"))) as serving:
        yield serving


@pytest.fixture
async def phone(browser: Browser, serving: Serving) -> AsyncIterator[Phone]:
    phone = Phone(browser, f"http://127.0.0.1:{serving.port}")
    yield phone
    await phone.close()


@pytest.fixture
async def post(mesh: TestMesh, mitto: MittoStandIn) -> Post:
    return Post(await registered(mesh, sender_name="Akropolis", company="Καφέ Ακρόπολη"), mitto)
