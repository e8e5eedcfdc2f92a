"""The stand-in for Mitto over real HTTP: what it refuses, its faults, and what is charged."""

import asyncio
import math
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import orjson
import pytest

from deploy.local.mitto.identifiers import MessageIds, new_key
from deploy.local.mitto.segments import segments
from tests.local.mitto import BULK, SEND, always, bulk, message, standing_in


async def test_one_message_and_its_look_up() -> None:
    async with standing_in() as (_, client):
        answer = await client.post(SEND, json=message(text="α" * 71))
        [item] = answer.json()["messages"]
        assert item["trafficAccountId"] == "account"
        shown = (await client.get(f"/api/v1.1/Messages/{item['messageId']}")).json()
        assert shown["messageId"] == item["messageId"]
        assert shown["requestInfo"] == {"sms": {"sender": "MyShop", "text": "α" * 71}}
        assert (shown["text"], shown["sender"], shown["messageParts"]) == ("α" * 71, "MyShop", 2)
        assert (shown["reference"], shown["deliveryStatus"]) == ("r1", "Sent")
        assert shown["createdAt"].endswith("Z")
        for unknown in ("nonsense", "00000000-0000-4000-8000-000000000000", item["messageId"].upper()[:-1]):
            assert (await client.get(f"/api/v1.1/Messages/{unknown}")).status_code == 404


async def test_a_bulk_answer_maps_by_position_and_refused_items_have_no_id() -> None:
    bad = [
        message(2, destination="306900000002"),
        message(3, destination="+0690000003"),
        message(4, text=""),
        message(5, text="  "),
        message(6, sender="ab"),
        message(7, sender="abcdefghijkl"),
        message(8, sender="12345678901234567"),
        message(9, sender="My-Shop"),
    ]
    good = [message(1), message(10, sender="+3069123"), message(11, sender="12345"), message(12, sender="abc")]
    async with standing_in() as (mitto, client):
        answer = (await client.post(BULK, json=bulk(good[0], *bad, *good[1:]))).json()
        assert answer["bulkId"]
        given = [item.get("messageId") for item in answer["messages"]]
        assert [bool(message_id) for message_id in given] == [True] + [False] * 8 + [True] * 3
        assert len(set(given)) == 5
        assert mitto.summary()["accepted"] == 4
        shown = (await client.get(f"/api/v1.1/Messages/{given[-1]}")).json()
        assert shown["reference"] == "r12"
        everything_bad = (await client.post(BULK, json=bulk(*bad))).json()["messages"]
        assert everything_bad == [{"trafficAccountId": "account"}] * 8
        assert (await client.post(SEND, json=bad[0])).status_code == 400


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"messages": []}',
        b'{"messages": [1]}',
        b'{"messages": [{"destination": "+306900000001", "sms": {"text": "x", "sender": "abc"}}]}',
        orjson.dumps(bulk(message(sms={"text": 1, "sender": "abc"}))),
        orjson.dumps(bulk(message(sms=None))),
        orjson.dumps(bulk(message(destination=306900000001))),
        orjson.dumps(bulk(message(reference=7))),
        orjson.dumps(bulk(*[message()] * 5_001)),
    ],
    ids=lambda body: body[:40],
)
async def test_malformed_bodies_are_refused(body: bytes) -> None:
    async with standing_in() as (mitto, client):
        answer = await client.post(BULK, content=body)
        assert answer.status_code == 400
        assert answer.json()["message"]
        assert mitto.summary()["accepted"] == 0


async def test_keys_and_routes() -> None:
    async with standing_in() as (mitto, client):
        async with httpx.AsyncClient(base_url=mitto.url) as stranger:
            assert (await stranger.post(SEND, json=message())).status_code == 401
            assert (await stranger.get("/api/v1.1/Messages/x")).status_code == 401
            wrong = await stranger.post(SEND, json=message(), headers={"X-Mitto-API-Key": "another"})
            assert wrong.status_code == 403
            assert (await stranger.get("/_stand-in/summary")).json()["requests"] == 0
        assert (await client.get("/else")).status_code == 404
        assert (await client.get("/_stand-in/else")).status_code == 404
        assert (await client.get("/_stand-in/reset")).status_code == 405
        assert (await client.get(BULK)).status_code == 405


async def test_a_doubled_text_is_found_whatever_its_link() -> None:
    def offer(number: int, code: str, shop: str = "MyShop") -> dict[str, Any]:
        return message(number, text=f"Come https://a.gr/o/{code} stop https://a.gr/u/{code[::-1]}", sender=shop)

    async with standing_in() as (mitto, client):
        await client.post(BULK, json=bulk(*[offer(number, "AAAAAAAAAA1") for number in range(30)]))
        await client.post(BULK, json=bulk(offer(1, "AAAAAAAAAA1", shop="Another"), message(2)))
        assert mitto.summary()["doubled"] == 0
        await client.post(BULK, json=bulk(offer(40, "AAAAAAAAAA1"), offer(40, "BBBBBBBBBB2")))
        assert mitto.summary() | {"reports": None} == {
            "requests": 3,
            "accepted": 34,
            "distinctDestinations": 31,
            "doubled": 1,
            "sample": ["+306900000040"],
            "reports": None,
        }
        await client.post(BULK, json=bulk(*[offer(number, "CCCCCCCCCC3") for number in range(30)]))
        assert mitto.summary()["doubled"] == 31
        assert len(mitto.summary()["sample"]) == 20
        for query in ("+306900000040", "%2B306900000040", "306900000040"):
            listed = (await client.get(f"/_stand-in/accepted?destination={query}")).json()["messages"]
            assert [item["text"][20:31] for item in listed] == ["AAAAAAAAAA1", "BBBBBBBBBB2"]
        assert (await client.get("/_stand-in/accepted")).status_code == 400


async def dropped(client: httpx.AsyncClient) -> None:
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        await client.post(BULK, json=bulk(message(1), message(2)))


async def late(client: httpx.AsyncClient) -> None:
    with pytest.raises(httpx.ReadTimeout):
        await client.post(BULK, json=bulk(message(1), message(2)), timeout=0.2)


def answered(status: int, check: Callable[[httpx.Response], object]) -> Callable[[httpx.AsyncClient], Awaitable[None]]:
    async def call(client: httpx.AsyncClient) -> None:
        answer = await client.post(BULK, json=bulk(message(1), message(2)))
        assert answer.status_code == status
        assert check(answer)

    return call


def ids_given(answer: httpx.Response) -> int:
    return sum("messageId" in item for item in answer.json()["messages"])


@pytest.mark.parametrize(
    ("outcome", "call", "accepted"),
    [
        ("ok", answered(200, lambda answer: ids_given(answer) == 2), 2),
        ("acceptAndDrop", dropped, 2),
        ("acceptAnd500", answered(500, lambda answer: answer.json()["message"]), 2),
        ("slow", late, 2),
        ("tooMany", answered(429, lambda answer: answer.headers["retry-after"] == "1"), 0),
        ("unavailable", answered(503, lambda answer: answer.json()["message"]), 0),
        ("shortAnswer", answered(200, lambda answer: len(answer.json()["messages"]) == 1), 2),
        ("garbage", answered(200, lambda answer: answer.text.startswith("<html>")), 2),
        ("refuseItem", answered(200, lambda answer: (ids_given(answer), len(answer.json()["messages"])) == (1, 2)), 1),
    ],
)
async def test_outcomes(outcome: str, call: Callable[[httpx.AsyncClient], Awaitable[None]], accepted: int) -> None:
    async with standing_in(behaviour=always(outcome)) as (mitto, client):
        await call(client)
        assert mitto.summary()["accepted"] == accepted
        mitto.change_behaviour({"outcomes": {outcome: 0, "ok": 1}})
        assert (await client.post(SEND, json=message(3))).status_code == 200
        assert mitto.summary()["requests"] == 2


async def test_a_slow_answer_comes_and_latency_is_waited_for() -> None:
    async with standing_in(behaviour=always("slow", slowMs=150)) as (mitto, client):
        for changes in ({}, {"outcomes": {"ok": 1, "slow": 0}, "latencyMs": 150}):
            mitto.change_behaviour(changes)
            start = asyncio.get_running_loop().time()
            assert (await client.post(SEND, json=message())).status_code == 200
            assert asyncio.get_running_loop().time() - start >= 0.15


async def test_behaviour_merges_repeats_and_refuses_what_it_does_not_know() -> None:
    async with standing_in() as (_, client):
        changed = await client.post(
            "/_stand-in/behaviour", json={"outcomes": {"tooMany": 1}, "reports": {"delayMs": 5}}
        )
        assert changed.json()["outcomes"] | {"ok": 1, "tooMany": 1} == changed.json()["outcomes"]
        assert changed.json()["reports"]["delivered"] == 0.95
        runs = []
        for _ in range(2):
            await client.post("/_stand-in/behaviour", json={"seed": 7})
            runs.append([(await client.post(SEND, json=message(n))).status_code for n in range(20)])
        assert runs[0] == runs[1]
        assert set(runs[0]) == {200, 429}
        for wrong in ({"else": 1}, {"outcomes": {"fine": 1}}, {"outcomes": {"ok": -1}}, {"reports": {"doubled": 2}}, 1):
            assert (await client.post("/_stand-in/behaviour", json=wrong)).status_code == 400
        assert (
            await client.post("/_stand-in/behaviour", json={"outcomes": {"ok": 0, "tooMany": 0}})
        ).status_code == 400
        assert (await client.post("/_stand-in/behaviour", json={})).json()["outcomes"] == changed.json()["outcomes"]


async def test_past_the_rate_429_is_answered() -> None:
    async with standing_in(behaviour={"maxPerSecond": 3}) as (mitto, client):
        began = time.monotonic()
        answers = [await client.post(SEND, json=message(n)) for n in range(12)]
        turns = math.ceil(time.monotonic() - began)
        refused = [answer for answer in answers if answer.status_code == 429]
        assert 12 - 3 * (1 + turns) <= len(refused) <= 9
        assert all(answer.headers["retry-after"] == "1" for answer in refused)
        assert mitto.summary()["accepted"] == 12 - len(refused)


def test_ids_look_like_uuids_and_lead_back() -> None:
    ids = MessageIds(new_key())
    numbers = [*range(100), 10**6, 2**40]
    encoded = [ids.encode(number, 1)[0] for number in numbers]
    assert [ids.decode(message_id) for message_id in encoded] == numbers
    assert [str(uuid.UUID(message_id)) for message_id in encoded] == encoded
    assert len(set(encoded)) == len(encoded)
    assert ids.decode(MessageIds(new_key()).encode(0, 1)[0]) is None


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("a" * 306, 2),
        ("a" * 307, 3),
        ("a" * 158 + "€", 1),
        ("a" * 159 + "€", 2),
        ("a" * 152 + "€" + "a" * 152, 3),
        ("a" * 151 + "€" + "a" * 153, 2),
        ("α" * 70, 1),
        ("α" * 71, 2),
        ("α" * 134, 2),
        ("α" * 135, 3),
        ("😀" * 35, 1),
        ("😀" * 36, 2),
        ("α" * 66 + "😀" + "α" * 66, 3),
        ("ΓΔΘΛΞΠΣΦΨΩ" * 16, 1),
        ("Α" * 71, 2),  # Greek capital alpha
    ],
)
def test_segments(text: str, count: int) -> None:
    assert segments(text) == count
