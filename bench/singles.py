"""Single texts: how many a second, and how long until the provider has one, alone and beside a large campaign."""

import itertools
import time
from collections.abc import Iterator

from bench.arena import Arena, body
from bench.figures import Figure
from bench.http_load import request
from tests.shop import Shop
from tests.waiting import until

CAMPAIGN, CAMPAIGN_SECONDS_MAX = 300_000, 300.0
SECONDS = 6.0


def run(arena: Arena) -> Iterator[Figure]:
    shop = arena.shop()
    first = _last_id(arena)
    load = arena.load(_texts(shop), SECONDS)
    _all_accepted(arena, first)
    yield Figure("POST /v1/messages", load.per_second, "/s", 400)
    yield Figure("POST /v1/messages, request → answer, p99", load.quantile(0.99), "ms", 150, more_is_better=False)
    large, welcome = arena.shop(CAMPAIGN), arena.shop()
    campaign = large.campaign()
    large.verb(campaign, "send")
    until(lambda: large.report(campaign)["counts"]["accepted"] > 0, 60)
    waits: list[float] = []
    deadline = time.perf_counter() + CAMPAIGN_SECONDS_MAX
    while large.report(campaign)["counts"]["queued"]:
        assert time.perf_counter() < deadline, "the campaign does not end"
        waits.append(_one(welcome, len(waits)))
    waits.sort()
    yield Figure(f"a text beside a campaign of {CAMPAIGN:,}, until accepted, p50", waits[len(waits) // 2], "s")
    yield Figure(
        f"a text beside a campaign of {CAMPAIGN:,}, until accepted, p99",
        waits[int(len(waits) * 0.99)],
        "s",
        2.0,
        more_is_better=False,
    )


def _texts(shop: Shop) -> Iterator[bytes]:
    headers = {"authorization": f"Bearer {shop.session['accessToken']}", "content-type": "application/json"}
    for number in itertools.count():
        text = {"to": f"+3069{20_000_000 + number:08d}", "text": f"Welcome {number}"}
        yield request("POST", "/v1/messages", headers, body(text))


def _one(shop: Shop, number: int) -> float:
    began = time.perf_counter()
    text = {"to": f"+3069{30_000_000 + number:08d}", "text": f"Welcome {number}"}
    id = shop.call("POST", "/v1/messages", json=text)["id"]
    until(lambda: shop.call("GET", f"/v1/messages/{id}")["state"] in ("ACCEPTED", "DELIVERED"), 60)
    return time.perf_counter() - began


def _last_id(arena: Arena) -> int:
    with arena.connection("sender") as connection:
        found = connection.execute("SELECT coalesce(max(batch_id), 0) FROM singles").fetchone()
    assert found
    return int(found[0])


def _all_accepted(arena: Arena, first: int) -> None:
    """None of them waits any more."""
    query = "SELECT count(*) FROM singles WHERE batch_id > %s"
    with arena.connection("sender") as connection:
        until(lambda: connection.execute(query, [first]).fetchone() == (0,), 120)
