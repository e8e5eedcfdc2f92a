"""Minutes of a shop's life, faster than life: campaigns and their echo, an app, visitors, and a bad provider."""

import itertools
import random
import time
import uuid
from collections.abc import Iterator
from typing import Any

import httpx

from bench.arena import Arena
from deploy.local.mesh import Mesh

CONTACTS = 4000
CAMPAIGN_SECONDS = 20.0
TEXT = {"text": "Γεια σου {{first_name|φίλε}}! {{offer_link}}", "offerLink": True, "offer": {"title": "-20%"}}
# By the share of the run from which it holds.
PROVIDER: dict[float, dict[str, Any]] = {
    0.0: {"outcomes": {"ok": 1}, "latencyMs": 60, "reports": {"delayMs": 400, "doubled": 0.05, "shuffled": 0.1}},
    0.45: {"outcomes": {"ok": 3, "tooMany": 2, "unavailable": 2, "acceptAndDrop": 0.3}},
    0.6: {"outcomes": {"ok": 1, "tooMany": 0, "unavailable": 0, "acceptAndDrop": 0}},
}
KILLED = {0.75: "contacts"}


class Bustle:
    def __init__(self, mesh: Mesh) -> None:
        self._mesh, self._arena = mesh, Arena(mesh)
        self._shop, self._dice = self._arena.shop(CONTACTS), random.Random(7)  # noqa: S311 (chance, not secrets)
        self._visitor = httpx.Client(timeout=20)
        self._links: Iterator[str] = iter(())
        self._campaign = ""

    def run(self, seconds: float) -> None:
        """Returns when the time is over. What is refused belongs to it."""
        began, due = time.monotonic(), 0.0
        behaviours, deaths = dict(PROVIDER), dict(KILLED)
        for turn in itertools.count():
            passed = time.monotonic() - began
            if passed > seconds:
                break
            for share in [each for each in behaviours if passed >= each * seconds]:
                self._arena.provider.behave(**behaviours.pop(share))
            for share in [each for each in deaths if passed >= each * seconds]:
                self._mesh.kill(deaths.pop(share))
            if passed >= due:
                due = passed + CAMPAIGN_SECONDS
                self._links = self._texted(self._campaign)
                self._send()
            self._app()
            self._people(turn)
            time.sleep(0.1)

    def _send(self) -> None:
        if made := self._ask("POST", "/v1/campaigns", json={"name": "Offer", "audience": {"all": True}, **TEXT}):
            self._campaign = made["id"]
            self._ask("POST", f"/v1/campaigns/{self._campaign}:quote", json={})
            self._ask("POST", f"/v1/campaigns/{self._campaign}:send", json={})

    def _app(self) -> None:
        """What a merchant's app asks all the time."""
        for path in (
            "contacts",
            "wallet",
            "dashboard",
            f"campaigns/{self._campaign}/report",
            f"contacts/{uuid.uuid4()}",
        ):
            self._ask("GET", f"/v1/{path}")
        self._ask("POST", "/v1/messages", json={"to": self._phone(), "text": "Η παραγγελία σας είναι έτοιμη"})
        email = f"{self._shop.sender_name}@example.com"
        for password in ("correct horse", "wrong horse"):
            self._visitor.post(f"{self._mesh.url}/v1/auth:login", json={"email": email, "password": password})

    def _people(self, turn: int) -> None:
        """One follows the link of a text; some leave, some buy, some answer."""
        if link := next(self._links, ""):
            self._visitor.get(link)
            if turn % 3 == 0:
                self._ask("POST", f"/v1/offers/{link.rsplit('/', 1)[1]}:redeem", json={})
            if turn % 5 == 0:
                self._visitor.post(link.replace("/o/", "/u/"))
        if turn % 6 == 0:
            # There is none to be cancelled.
            self._ask("POST", "/v1/billing/subscription:cancel", json={})
        if turn % 7 == 0:
            said = {"from": self._phone()[1:], "to": "306999999999", "text": self._dice.choice(("ΣΤΟΠ", "ΝΑΙ", "τι;"))}
            self._visitor.post(f"http://{self._mesh.wiring.address('mitto')}/_stand-in/inbound", json=said)

    def _texted(self, campaign: str) -> Iterator[str]:
        """Links of offers in its texts."""
        texts = self._ask("GET", "/v1/messages", params={"campaignId": campaign, "pageSize": 100}) if campaign else {}
        for message in texts.get("messages", ()):
            text = self._ask("GET", f"/v1/messages/{message['id']}").get("text", "")
            yield from (word for word in text.split() if "/o/" in word)

    def _ask(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        answer = self._shop.http.request(method, path, **options)
        return answer.json() if answer.is_success else {}

    def _phone(self) -> str:
        return f"+3069{10_000_000 + self._dice.randrange(CONTACTS):08d}"
