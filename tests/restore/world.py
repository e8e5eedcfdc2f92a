"""What happens round the instant to which the databases go back: before it, after it, and in between."""

import signal
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from deploy.local.mesh import Mesh
from tests.shop import Oracle, Shop
from tests.waiting import until

PEOPLE, SCHEDULED_PEOPLE, FIRST_SCHEDULED = 200, 10, 20_000_000
BEGUN, GONE_ON = 60, 60
# The second of the two shops sends then, and nobody who restores knows of it.
SCHEDULED_SECONDS = 8.0
BOUGHT = (1000, 2000)
URLS = {"successUrl": "https://shop.test/paid", "cancelUrl": "https://shop.test/not"}
STRANGER = "+306977777777"
WAIT_SECONDS = 90.0
SETTINGS = {
    "campaigns": {"BATCH_SIZE": "25", "REPUBLISH_AFTER_SECONDS": "3", "SILENCE_SECONDS": "3"},
    "sender": {
        "CHUNK_SIZE": "5",
        # Half of it is for campaigns: ten texts a second, so that there is a middle to go back to.
        "MERCHANT_REQUESTS_PER_SECOND": "4",
        "LEASE_SECONDS": "12",
        "VALIDITY_SECONDS": "20",
        "UNKNOWN_GRACE_SECONDS": "5",
        "LOOKUP_AFTER_SECONDS": "2",
    },
}


class World:
    """Two shops, their customers, and what the provider remembers of them."""

    def __init__(self, mesh: Mesh) -> None:
        self.mesh, self.provider = mesh, Oracle(mesh)
        # Hundreds of phones are asked for.
        self._record = httpx.Client(base_url=f"http://{mesh.wiring.address('mitto')}/_stand-in", timeout=30)
        self.large, self.small = Shop(mesh), Shop(mesh)
        self.large.bring(PEOPLE)
        self.small.bring(SCHEDULED_PEOPLE, FIRST_SCHEDULED)
        self.opted_out: list[str] = []
        self.erased = ""
        self.forgotten_code = ""

    def move(self, mesh: Mesh) -> None:
        """To the mesh that was restored, at the same address."""
        self.mesh, self.large.mesh, self.small.mesh = mesh, mesh, mesh

    def begin(self) -> None:
        """Up to the instant: a campaign in its middle, another that is scheduled, a page of Stripe's that is open, and
        submissions in hand, held up between their attempt and the provider.
        """
        self.campaign = self.large.campaign()
        self.scheduled = self.small.campaign("Αύριο {{first_name|φίλε}}!")
        self.pages = [self._checkout(BOUGHT[0])]
        self.large.verb(self.campaign, "send")
        self.large.submitted(self.campaign, BEGUN)
        at = {"sendTime": (datetime.now(UTC) + timedelta(seconds=SCHEDULED_SECONDS)).isoformat()}
        self.small.call("POST", f"/v1/campaigns/{self.scheduled}:schedule", json={"schedule": at})
        self.mesh.kill("contacts", signal.SIGSTOP)
        self.single = self.small.call("POST", "/v1/messages", json={"to": STRANGER, "text": "Ο κωδικός σας: 1234"})
        time.sleep(1)
        self.accepted_then = self.accepted()

    def go_on(self) -> None:
        """What the databases will forget."""
        self.mesh.kill("contacts", signal.SIGCONT)
        self.large.submitted(self.campaign, BEGUN + GONE_ON)
        sent = "the scheduled campaign was not sent"
        until(lambda: all(self.texts(phone) for phone in self.small.phones), WAIT_SECONDS, sent)
        until(lambda: bool(self.texts(STRANGER)), WAIT_SECONDS, "the single text was not sent")
        self.forgotten_code = self._code(self.small.phones[0])
        reached = [phone for phone in self.large.phones if self.texts(phone)]
        # One was texted before the instant and one after it; one uses the link and the other answers.
        self._leave(reached[0])
        self._answer(reached[-1])
        self.opted_out = [reached[0], reached[-1]]
        self.erased = self.large.phones[1]
        self.large.call("POST", f"/v1/contacts/{self.contact(self.erased)['id']}:erase", json={})
        self.pages.append(self._checkout(BOUGHT[1]))
        for page in self.pages:
            assert httpx.post(page["url"], data={"action": "pay"}, timeout=10).is_redirect
        until(lambda: self.wallet()["purchased"] == sum(BOUGHT), WAIT_SECONDS, "what was bought is not credited")
        until(lambda: not any(map(self.is_textable, self.opted_out)), WAIT_SECONDS, "somebody who opted out is not")
        self.reported = self.large.report(self.campaign)["counts"]

    # What is seen

    def accepted(self) -> int:
        return int(self.provider.summary()["accepted"])

    def texts(self, phone: str) -> list[dict[str, Any]]:
        """What the provider accepted for a phone."""
        found: list[dict[str, Any]] = self._record.get("/accepted", params={"destination": phone}).json()["messages"]
        return found

    def contact(self, phone: str) -> dict[str, Any]:
        """Empty where there is none."""
        found = self.large.call("GET", "/v1/contacts", params={"q": phone})["contacts"]
        return dict(found[0]) if found else {}

    def is_textable(self, phone: str) -> bool:
        return self.contact(phone).get("subscription") == "SUBSCRIBED"

    def wallet(self) -> dict[str, Any]:
        return self.large.call("GET", "/v1/wallet")

    def _checkout(self, credits: int) -> dict[str, Any]:
        order = {"credits": credits, "currency": "EUR", **URLS}
        return self.large.call("POST", "/v1/billing/checkout", json=order)

    def _code(self, phone: str) -> str:
        text = str(self.texts(phone)[0]["text"])
        return text.partition("/u/")[2][:11]

    def _leave(self, phone: str) -> None:
        assert httpx.post(f"{self.mesh.url}/u/{self._code(phone)}", timeout=10).is_success

    def _answer(self, phone: str) -> None:
        said = {"from": phone, "to": self.large.sender_name, "text": "STOP"}
        assert self._record.post("/inbound", json=said).is_success
