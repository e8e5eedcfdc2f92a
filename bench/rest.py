"""REST through the gateway: get, list of 20, create; one merchant's token, 32 connections."""

import itertools
from collections.abc import Iterator

from bench import floors
from bench.arena import Arena, body
from bench.figures import Figure
from bench.http_load import Load, request

CONTACTS = 10_000
P99_MILLISECONDS = 60.0


def run(arena: Arena) -> Iterator[Figure]:
    shop = arena.shop(CONTACTS)
    found = shop.call("GET", "/v1/contacts", params={"pageSize": 500})["contacts"]
    token = {"authorization": f"Bearer {shop.session['accessToken']}"}
    get = itertools.cycle([request("GET", f"/v1/contacts/{contact['id']}", token) for contact in found])
    got = arena.load(get)
    hellos = floors.hellos_per_second(arena)
    direct = floors.contacts_per_second(arena, shop.session["merchant"]["id"], found[0]["id"])
    yield _rate("GET /v1/contacts/{id}", got, 1200, got.per_second / direct, f"{direct:,.0f} bare gRPC calls/s")
    yield _p99("GET /v1/contacts/{id}", got)
    share, limit = got.per_second / hellos, f"{hellos:,.0f} hellos/s"
    yield Figure("the same, to a bare web server", got.per_second, "/s", ratio=share, limit=limit)
    listed = arena.load(itertools.repeat(request("GET", "/v1/contacts?pageSize=20", token)))
    yield _rate("GET /v1/contacts?pageSize=20", listed, 900, listed.per_second / direct, "bare gRPC gets")
    yield _p99("GET /v1/contacts?pageSize=20", listed)
    created = arena.load(_new_contacts(token | {"content-type": "application/json"}))
    yield _rate("POST /v1/contacts", created, 600, created.per_second / direct, "bare gRPC gets")
    yield _p99("POST /v1/contacts", created)


def _new_contacts(headers: dict[str, str]) -> Iterator[bytes]:
    for number in itertools.count():
        contact = {"phone": f"+3069{90_000_000 - number:08d}", "firstName": "Μαρία", "tags": ["new"]}
        yield request("POST", "/v1/contacts", headers, body(contact))


def _rate(name: str, load: Load, aim: float, ratio: float, limit: str) -> Figure:
    return Figure(name, load.per_second, "/s", aim, ratio=ratio, limit=limit)


def _p99(name: str, load: Load) -> Figure:
    return Figure(f"{name}, p99", load.quantile(0.99), "ms", P99_MILLISECONDS, more_is_better=False)
