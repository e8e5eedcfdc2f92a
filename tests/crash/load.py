"""What goes on while services are restarted: a merchant's apps that call, a customer who texts, a page that watches.

Nothing is tried again: what a call is answered with is what its caller got.
"""

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.shop import Shop

APPS = 4
PAUSE_SECONDS = 0.04
# A connection that is idle for longer than a gateway drains is closed under it, and one that is not must not be.
RARE_SECONDS = 3.0
FIRST_PHONE = 50_000_000


@dataclass
class Load:
    """`with Load(shop) as load:` calls until the block ends. `failures` says what a caller would have seen."""

    shop: Shop
    watcher: Shop
    watched: str
    calls: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    singles: list[str] = field(default_factory=list)
    texted: list[str] = field(default_factory=list)
    slowest_seconds: float = 0.0
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(FIRST_PHONE))
    _has_seen_all: bool = False
    _ended: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "Load":
        pauses = [PAUSE_SECONDS] * APPS + [RARE_SECONDS]
        self._threads = [threading.Thread(target=self._app, args=(pause,)) for pause in pauses]
        self._threads.append(threading.Thread(target=self._watch))
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _client(self, shop: Shop) -> httpx.Client:
        return httpx.Client(base_url=shop.mesh.url, headers=shop.http.headers, timeout=30)

    def _app(self, pause_seconds: float) -> None:
        with self._client(self.shop) as http:
            for call in itertools.cycle(self._kinds()):
                if self._ended.wait(pause_seconds):
                    return
                call(http)

    def _kinds(self) -> list[Callable[[httpx.Client], Any]]:
        """One of each sort: reads and writes of every service, a file up, a file down, single texts, callbacks."""

        def get(path: str) -> Callable[[httpx.Client], Any]:
            return lambda http: self._call(http, "GET", path)

        def post(path: str, **body: Any) -> Callable[[httpx.Client], Any]:
            return lambda http: self._call(http, "POST", path, json=body)

        draft = {"name": "Draft", "text": "Γεια σου!", "audience": {"all": True}}
        return [
            *(get("/v1/me"), self._contact, get("/v1/dashboard"), get("/v1/wallet"), self._single),
            *(get("/v1/campaigns"), post("/v1/campaigns", **draft), get("/v1/contacts?pageSize=20"), self._inbound),
            *(get("/v1/wallet/transactions"), self._list, get("/v1/messages"), self._upload),
            *(get("/v1/billing/packages"), post("/v1/audience:count", all=True), get("/v1/contacts:export")),
            *(post("/v1/templates", name="T", text="Hello"), get("/.well-known/jwks.json"), get("/v1/segments")),
        ]

    def _contact(self, http: httpx.Client) -> None:
        made = self._call(http, "POST", "/v1/contacts", json={"phone": self._phone()})
        if made:
            self._call(http, "PATCH", f"/v1/contacts/{made['id']}", json={"firstName": "Μαρία"})

    def _list(self, http: httpx.Client) -> None:
        self._call(http, "POST", "/v1/lists", json={"name": f"List {self._phone()}"})

    def _single(self, http: httpx.Client) -> None:
        phone = self._phone()
        made = self._call(http, "POST", "/v1/messages", json={"to": phone, "text": "Your table is ready."})
        if made:
            self.singles.append(made["id"])
            self.texted.append(phone)

    def _inbound(self, http: httpx.Client) -> None:
        secret = {"X-Webhook-Secret": self.shop.mesh.wiring.webhook_secret()}
        body = {"from": self._phone(), "to": "+306999999999", "text": "Thank you"}
        self._call(http, "POST", "/webhooks/mitto/inbound", json=body, headers=secret)

    def _upload(self, http: httpx.Client) -> None:
        self._call(http, "POST", "/v1/contacts:import", content=f"phone\n{self._phone()}\n".encode())

    def _phone(self) -> str:
        return f"+3069{next(self._numbers):08d}"

    def _call(self, http: httpx.Client, method: str, path: str, **options: Any) -> dict[str, Any]:
        self.calls[method] += 1
        began = time.monotonic()
        try:
            answer = http.request(method, path, **options)
        except httpx.HTTPError as error:
            self._fail(f"{method} {path}: {error!r}")
            return {}
        self.slowest_seconds = max(self.slowest_seconds, time.monotonic() - began)
        if not answer.is_success:
            self._fail(f"{method} {path}: {answer.status_code} {answer.text[:300]}")
            return {}
        is_json = answer.headers.get("content-type", "").startswith("application/json")
        return dict(answer.json()) if is_json else {}

    def _fail(self, what: str) -> None:
        self.failures.append(f"{time.strftime('%H:%M:%S')}: {what}")
        print(self.failures[-1][:200], flush=True)

    def _watch(self) -> None:
        """A page that watches a campaign to its end, as a browser's EventSource does: it begins again where it was."""
        last = ""
        with self._client(self.watcher) as http:
            while not self._has_seen_all and not self._ended.is_set():
                last = self._watched(http, last)

    def _watched(self, http: httpx.Client, last: str) -> str:
        """The id of the last event."""
        self.calls["watch"] += 1
        headers = {"Last-Event-ID": last} if last else {}
        try:
            with http.stream("GET", f"/v1/campaigns/{self.watched}:watch", headers=headers) as answer:
                assert answer.is_success, f"{answer.status_code} {answer.read()[:300]!r}"
                for line in itertools.takewhile(lambda _: not self._ended.is_set(), answer.iter_lines()):
                    last = line[4:] if line.startswith("id: ") else last
                    self.calls["told to watch again"] += line == "event: error"
                    self._has_seen_all |= '"final":true' in line
        except (AssertionError, httpx.HTTPError) as error:
            self._fail(f"watch: {error!r}")
        return last
