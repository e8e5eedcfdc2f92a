"""The demo: a merchant joins, brings contacts, sees an exact price, sends, and watches every text being accounted for.

It speaks to the gateway only, as a merchant's app would. `python -m deploy.local.demo`, with GATEWAY_URL and MITTO_URL
in the environment, and DEMO_CONTACTS for another size than a thousand.
"""

import csv
import io
import os
import random
import secrets
import sys
import time
from collections.abc import Iterator
from typing import Any

import httpx
import orjson
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

FIRST_NAMES = ("Μαρία", "Γιώργος", "Ελένη", "Νίκος", "Κατερίνα", "Δημήτρης", "Σοφία", "Γιάννης", "Άννα", "Παναγιώτης")
LAST_NAMES = ("Παπαδόπουλος", "Ιωάννου", "Γεωργίου", "Νικολάου", "Δημητρίου", "Οικονόμου", "Βασιλείου", "Αντωνίου")
CITIES = ("Αθήνα", "Θεσσαλονίκη", "Πάτρα", "Ηράκλειο", "")
TEXT = "{{first_name|φίλε}}, -20% σε όλα έως την Κυριακή στο κατάστημα {{attributes.city|μας}}!"
TIMEOUT_SECONDS = 120.0

console = Console(highlight=False)


class Api:
    """The gateway, as a merchant sees it. A refusal ends the demo with its words."""

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=url, timeout=TIMEOUT_SECONDS)

    def register(self) -> dict[str, Any]:
        """A new merchant each time, so that the demo can be played again."""
        name = f"demo-{secrets.token_hex(4)}"
        body = {"email": f"{name}@example.com", "password": secrets.token_urlsafe(16), "company": "Καφέ Ακρόπολη"}
        session = self.call("POST", "/v1/auth:register", json=body | {"senderName": "Akropolis"})
        self._client.headers["Authorization"] = f"Bearer {session['accessToken']}"
        return session

    def call(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        answer = self._client.request(method, path, **options)
        if answer.is_error:
            sys.exit(f"{method} {path}: {answer.status_code} {answer.text}")
        content: dict[str, Any] = answer.json()
        return content

    def watch(self, campaign_id: str) -> Iterator[dict[str, Any]]:
        """The progress of a campaign, event by event, until its books are closed."""
        with self._client.stream("GET", f"/v1/campaigns/{campaign_id}:watch") as answer:
            for line in answer.iter_lines():
                if line.startswith("data: "):
                    yield orjson.loads(line[6:])


def main() -> None:
    api, size = Api(os.environ["GATEWAY_URL"]), int(os.environ.get("DEMO_CONTACTS", "1000"))
    console.rule("[bold]Astronote Retail: the demo")
    merchant = api.register()["merchant"]
    console.print(f"[bold]1[/] {merchant['company']} has joined, with {_balance(api):,} credits")
    bring_contacts(api, size)
    campaign = write_campaign(api)
    send(api, campaign["id"])
    show_books(api.call("GET", f"/v1/campaigns/{campaign['id']}/report"))
    console.print(f"  {_balance(api):,} credits are left")
    summary = httpx.get(f"{os.environ['MITTO_URL']}/_stand-in/summary", timeout=TIMEOUT_SECONDS).json()
    console.print(f"  the provider accepted {summary['accepted']:,} texts, doubled: [bold]{summary['doubled']}[/]")


def bring_contacts(api: Api, size: int) -> None:
    body = sample_contacts(size, random.Random(7))  # noqa: S311 (names of nobody)
    done = api.call("POST", "/v1/contacts:import", content=body, headers={"Content-Type": "text/csv"})
    while done["state"] not in ("DONE", "FAILED"):
        time.sleep(0.2)
        done = api.call("GET", f"/v1/imports/{done['id']}")
    counts = ", ".join(f"{done[name]:,} {name}" for name in ("created", "skipped", "rejected"))
    console.print(f"[bold]2[/] {done['received']:,} rows of contacts came in: {counts}")
    for reject in api.call("GET", f"/v1/imports/{done['id']}/rejects", params={"pageSize": 3})["rejects"]:
        console.print(f"    row {reject['row']}: {reject['column']} “{reject['value']}”, {reject['reason']}")


def write_campaign(api: Api) -> dict[str, Any]:
    template = api.call("POST", "/v1/templates", json={"name": "Προσφορά", "text": TEXT, "language": "el"})
    draft = {"name": "Κυριακή -20%", "templateId": template["id"], "audience": {"all": True}}
    campaign = api.call("POST", "/v1/campaigns", json=draft)
    quote = api.call("POST", f"/v1/campaigns/{campaign['id']}:quote", json={})
    histogram = ", ".join(f"{count:,} of {segments}" for segments, count in quote["segmentsHistogram"].items())
    console.print(
        f"[bold]3[/] the price, to the credit: {quote['credits']:,} for {quote['recipients']:,} texts "
        f"(by segments: {histogram})"
    )
    console.print(f"    [dim]{quote['sample'][0]['rendering']['text']}[/]")
    return campaign


def send(api: Api, campaign_id: str) -> None:
    api.call("POST", f"/v1/campaigns/{campaign_id}:send", json={}, headers={"Idempotency-Key": campaign_id})
    console.print("[bold]4[/] sending")
    bar = Progress(
        TextColumn("    {task.description:<9}"),
        BarColumn(40),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )
    with bar:
        accepted, delivered = bar.add_task("submitted", total=None), bar.add_task("reported", total=None)
        for progress in api.watch(campaign_id):
            counts = progress["report"]["counts"]
            submitted = counts["targeted"] - counts["queued"]
            waiting = counts["accepted"] + counts["unknown"]
            bar.update(accepted, total=counts["targeted"] or None, completed=submitted)
            bar.update(delivered, total=counts["targeted"] or None, completed=submitted - waiting)


def show_books(report: dict[str, Any]) -> None:
    counts, credits = report["counts"], report["credits"]
    table = Table(min_width=30, title=f"The books: {report['state'].lower()}{', final' if report['final'] else ''}")
    states = ("queued", "accepted", "delivered", "failed", "rejected", "expired", "unknown")
    rows = {state: counts[state] for state in states} | {"skipped": sum(counts["skipped"].values())}
    table.add_column("")
    table.add_column("texts", justify="right")
    for name, count in rows.items():
        table.add_row(name, f"{count:,}", style="" if count else "dim")
    table.add_section()
    table.add_row("targeted", f"{counts['targeted']:,}", style="bold")
    console.print(table)
    assert sum(rows.values()) == counts["targeted"]
    parts = " + ".join(f"{credits[name]:,} {name}" for name in ("captured", "released"))
    console.print(f"  {credits['held']:,} credits held = {parts}")


def sample_contacts(size: int, dice: random.Random) -> bytes:
    """A CSV of people, a few of its rows wrong on purpose."""
    text = io.StringIO()
    sheet = csv.writer(text)
    sheet.writerow(["Κινητό", "Όνομα", "Επώνυμο", "city"])
    for number in range(size):
        phone = f"69{10_000_000 + number:08d}"
        wrong = {size // 3: "210-ΟΧΙ", size // 2: "+30 12", size - 2: f"69{10_000_000:08d}"}
        names = [dice.choice(FIRST_NAMES), dice.choice(LAST_NAMES), dice.choice(CITIES)]
        sheet.writerow([wrong.get(number, phone), *names])
    return text.getvalue().encode()


def _balance(api: Api) -> int:
    available: int = api.call("GET", "/v1/wallet")["available"]
    return available


if __name__ == "__main__":
    main()
