"""A person with unmistakable values walks every road, is erased, and is then searched for: in all databases, in the
broker's files, in the logs of every process. docs/privacy.md lists what stays.
"""

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from astronote.sender.v1.batches_pb2 import SendBatch
from deploy.local.mesh import Mesh
from tests.shop import Shop
from tests.waiting import until

PHONE = "+306978412593"
# No two of these stand in each other; none stands anywhere by chance.
CANARIES = {
    "phone": PHONE.removeprefix("+30"),
    "first_name": "Καναρίνα-Qzx",
    "last_name": "Κίτρινη-Wvk",
    "email": "canary-jq7x@example.com",
    "attribute": "Πτερωτούπολη-Zzq",
    "text": "Τιτίβισμα-Kxq",
    "answer": "Καλημερούδια-Vvq",
    "agent": "Kanarienbrowser-Wqx/7.0",
}


def forms(canary: str) -> list[bytes]:
    """As it may stand in a file or a dump: itself, in hexadecimal, as JSON without other letters than ASCII's."""
    raw = canary.encode()
    return [raw, raw.hex().encode(), json.dumps(canary)[1:-1].encode()]


def dumped(mesh: Mesh) -> Iterator[tuple[str, bytes]]:
    """Every row of every table, `bytea` in hexadecimal."""
    for service, database in mesh.databases.items():
        with psycopg.connect(database.pipeline_url.replace("+psycopg", "")) as connection:
            query = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
            for (table,) in connection.execute(query).fetchall():
                if table == "alembic_version":
                    continue
                out = io.BytesIO()
                with connection.cursor().copy(f'COPY (SELECT * FROM "{table}") TO STDOUT') as copy:
                    for piece in copy:
                        out.write(piece)
                yield f"{service}.{table}", out.getvalue()


def files(folder: Path, pattern: str = "*") -> Iterator[tuple[str, bytes]]:
    for path in folder.rglob(pattern):
        if path.is_file():
            yield str(path.relative_to(folder)), path.read_bytes()


def found(places: Iterator[tuple[str, bytes]]) -> dict[str, set[str]]:
    """Where something of the person stands, and what."""
    where: dict[str, set[str]] = {}
    for place, content in places:
        for name, canary in CANARIES.items():
            if any(form in content for form in forms(canary)):
                where.setdefault(place, set()).add(name)
    return where


def buried(mesh: Mesh, batch: SendBatch) -> None:
    """A batch that nobody could handle, as kit leaves it behind."""
    with psycopg.connect(mesh.databases["sender"].pipeline_url.replace("+psycopg", "")) as connection:
        connection.execute(
            "INSERT INTO dead_letters (subject, key, payload, deliveries, error) VALUES ('work', 'k', %s, 20, 'E()')",
            [batch.SerializeToString()],
        )


@pytest.fixture
def person(shop: Shop, running_mesh: Mesh) -> dict[str, Any]:
    """Everywhere that a person comes."""
    contact = {
        "phone": PHONE,
        "email": CANARIES["email"],
        "firstName": CANARIES["first_name"],
        "lastName": CANARIES["last_name"],
        "attributes": {"city": CANARIES["attribute"]},
    }
    person = shop.call("POST", "/v1/contacts", json=contact)
    members = shop.call("POST", "/v1/lists", json={"name": "VIP"})
    shop.call("POST", f"/v1/lists/{members['id']}/contacts:add", json={"contactIds": [person["id"]]})
    rows = f"phone,email,first_name\n{PHONE},{CANARIES['email']},{CANARIES['first_name']}\n{CANARIES['email']},,\n"
    shop.call("POST", "/v1/contacts:import?onDuplicate=UPDATE", content=rows.encode())
    shop.bring(3)
    campaign = shop.campaign(f"{CANARIES['text']} {{{{first_name}}}} {{{{last_name}}}} {{{{attributes.city}}}}")
    shop.verb(campaign, "send")
    assert shop.closed(campaign)["final"]
    shop.call("POST", "/v1/messages", json={"to": PHONE, "text": CANARIES["text"]}, headers={"Idempotency-Key": "k"})
    sent = f"/v1/messages?to={PHONE.replace('+', '%2B')}&state=DELIVERED"
    until(lambda: len(shop.call("GET", sent).get("messages", ())) == 2, 30)
    mitto = f"http://{running_mesh.wiring.address('mitto')}/_stand-in/accepted"
    accepted = httpx.get(mitto, params={"destination": PHONE}).text
    code = re.search(r"/u/([0-9A-Za-z]{11})", accepted)
    assert code, accepted
    for method in ("GET", "POST"):
        assert shop.http.request(method, f"/u/{code[1]}", content=b"").is_success
    answer = {"from": PHONE, "to": "+306900000000", "text": CANARIES["answer"]}
    assert httpx.post(mitto.replace("accepted", "inbound"), json=answer).is_success
    until(lambda: shop.call("GET", "/v1/inbound").get("inbound"), 30)
    buried(running_mesh, SendBatch(merchant_id=shop.session["merchant"]["id"], recipients=[{"phone": PHONE}]))
    form = shop.call("POST", "/v1/forms", json={"title": "Καφέ", "wording": "Θέλω προσφορές"})
    given = {"phone": PHONE, "agreed": "yes", "first_name": CANARIES["first_name"]}
    address = form["url"].partition("/f/")[2]
    signed = shop.http.post(f"/f/{address}", data=given, headers={"User-Agent": CANARIES["agent"]})
    assert signed.is_success, signed.text
    return person | {"campaign": campaign, "code": code[1]}


def test_nothing_of_an_erased_person_is_found(shop: Shop, running_mesh: Mesh, person: dict[str, Any]) -> None:
    export = shop.call("GET", f"/v1/contacts/{person['id']}:export")
    assert found(iter([("export", json.dumps(export).encode())]))["export"] == set(CANARIES)
    (response,) = export["responses"]
    assert response["unsubscribeTime"]
    assert response["messageId"] in {each["id"] for each in export["messages"]}
    before = found(dumped(running_mesh))
    # What is looked for can be found: else finding nothing would mean nothing.
    held = {"contacts.contacts", "campaigns.batches", "sender.messages", "sender.requests", "sender.dead_letters"}
    assert held <= set(before)
    report = shop.report(person["campaign"])
    # Counted in its own time.
    report.pop("timeline", None)

    shop.call("POST", f"/v1/contacts/{person['id']}:erase", json={})
    again = f"/v1/contacts/{person['id']}:erase"
    until(lambda: shop.call("POST", again, json={})["state"] == "DONE", 60)

    # The merchant's own words are not the person's: the template of the campaign keeps its text.
    left = {place: names - {"text"} for place, names in found(dumped(running_mesh)).items()}
    assert {place: names for place, names in left.items() if names} == {}
    # The broker drops a block of its file once everything in it is acked. Controls: these are the files that it and the
    # processes write.
    until(lambda: not found(files(running_mesh.data / "nats")), 30)
    merchant_id = shop.session["merchant"]["id"].encode()
    assert any(merchant_id in content for _, content in files(running_mesh.data / "nats"))
    assert found(files(running_mesh.run_folder)) == {}
    assert any(b"EraseContact" in content for _, content in files(running_mesh.run_folder))
    assert shop.http.get(f"/u/{person['code']}").status_code == 404
    assert shop.http.get(f"/v1/contacts/{person['id']}").status_code == 404
    # The books stay, and so do the opt-out and the chain of consents.
    assert {**shop.report(person["campaign"]), **report} == shop.report(person["campaign"])
    shop.call("POST", "/v1/contacts:import", content=f"phone\n{PHONE}\n".encode())
    (back,) = shop.call("GET", "/v1/contacts?q=6978412593")["contacts"]
    assert back["subscription"] == "UNSUBSCRIBED"
    events = [each["event"] for each in shop.call("GET", f"/v1/contacts/{back['id']}/consents")["consents"]]
    assert events == ["GRANTED", "GRANTED", "WITHDRAWN", "REQUESTED"]
