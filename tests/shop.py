"""A merchant who speaks to the gateway of a running mesh, and the provider's own record of what it accepted."""

import contextlib
import secrets
import time
from typing import Any

import httpx

from deploy.local.mesh import Mesh

END_SECONDS = 90.0


class Shop:
    """A fresh merchant of a running mesh."""

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh
        self.phones: list[str] = []
        # A stem of its own: the stand-in counts doubles by sender and text.
        self.sender_name = f"S{secrets.token_hex(4)}"
        self.http = httpx.Client(base_url=mesh.url, timeout=60)
        body = {"email": f"{self.sender_name}@example.com", "password": "correct horse", "company": "Καφέ"}
        self.session = self.call("POST", "/v1/auth:register", json=body | {"senderName": self.sender_name})
        self.id: str = self.session["merchant"]["id"]
        self.http.headers["Authorization"] = f"Bearer {self.session['accessToken']}"

    def call(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        answer = self.http.request(method, path, **options)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        content: dict[str, Any] = answer.json()
        return content

    def bring(self, count: int, first: int = 10_000_000) -> None:
        self.phones += [f"+3069{first + number:08d}" for number in range(count)]
        rows = "".join(f"69{first + number:08d},Μαρία\n" for number in range(count))
        assert self.imported(f"phone,first_name\n{rows}".encode()) == count

    def imported(self, file: bytes, seconds: float = END_SECONDS) -> int:
        """Waits until all of a CSV is in the book; how many contacts it brought."""
        done = self.call("POST", "/v1/contacts:import", content=file, timeout=seconds)
        deadline = time.monotonic() + seconds
        while done["state"] not in ("DONE", "FAILED"):
            assert time.monotonic() < deadline, done
            time.sleep(0.05)
            done = self.call("GET", f"/v1/imports/{done['id']}")
        assert done["state"] == "DONE", done
        return int(done["created"])

    def campaign(self, text: str = "Γεια σου {{first_name|φίλε}}!") -> str:
        draft = {"name": "Offer", "text": text, "audience": {"all": True}}
        return str(self.call("POST", "/v1/campaigns", json=draft)["id"])

    def verb(self, campaign_id: str, verb: str) -> dict[str, Any]:
        return self.call("POST", f"/v1/campaigns/{campaign_id}:{verb}", json={})

    def report(self, campaign_id: str) -> dict[str, Any]:
        report = self.call("GET", f"/v1/campaigns/{campaign_id}/report")
        assert_books_add_up(report)
        return report

    def closed(self, campaign_id: str, seconds: float = END_SECONDS) -> dict[str, Any]:
        """The final report; the road may be interrupted meanwhile, so a refused look is looked again."""
        deadline = time.monotonic() + seconds
        report: dict[str, Any] = {}
        answer = httpx.Response(503)
        while not report.get("final"):
            assert time.monotonic() < deadline, f"not closed in {seconds} s: {report}"
            time.sleep(0.1)
            with contextlib.suppress(httpx.TransportError):
                answer = self.http.get(f"/v1/campaigns/{campaign_id}/report")
            if answer.is_success:
                report = answer.json()
                assert_books_add_up(report)
        return report

    def submitted(self, campaign_id: str, count: int) -> None:
        """Waits until so many have left the queue."""
        deadline = time.monotonic() + END_SECONDS
        while True:
            counts = self.report(campaign_id)["counts"]
            if counts["targeted"] - counts["queued"] >= count:
                return
            assert time.monotonic() < deadline, counts
            time.sleep(0.02)


def assert_books_add_up(report: dict[str, Any]) -> None:
    counts, credits = report["counts"], report["credits"]
    states = ("queued", "accepted", "delivered", "failed", "rejected", "expired", "unknown")
    assert counts["targeted"] == sum(counts[state] for state in states) + sum(counts["skipped"].values()), report
    assert all(counts[state] >= 0 for state in states), report
    assert credits["captured"] + credits["released"] <= credits["held"] or not credits["held"], report
    if report["final"]:
        assert credits["captured"] + credits["released"] == credits["held"], report


class Oracle:
    """The stand-in's own record."""

    def __init__(self, mesh: Mesh) -> None:
        self._url = f"http://{mesh.wiring.address('mitto')}/_stand-in"

    def summary(self) -> dict[str, Any]:
        content: dict[str, Any] = httpx.get(f"{self._url}/summary", timeout=30).json()
        return content

    def behave(self, **behaviour: Any) -> None:
        assert httpx.post(f"{self._url}/behaviour", json=behaviour, timeout=30).is_success

    def reset(self) -> None:
        assert httpx.post(f"{self._url}/reset", timeout=30).is_success
