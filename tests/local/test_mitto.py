"""The stand-in for Mitto over real HTTP: what it refuses, what it remembers, its faults, and what it reports."""

import asyncio
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from deploy.local.mitto import MittoStandIn
from deploy.local.mitto.identifiers import MessageIds, new_key
from deploy.local.mitto.segments import segments

KEY = "a-key"
BULK = "/api/v1.1/Messages/sendmessagesbulk"
SEND = "/api/v1.1/Messages/send"


def message(number: int = 1, **changes: Any) -> dict[str, Any]:
    sms = {"text": changes.pop("text", f"Hello {number}"), "sender": changes.pop("sender", "MyShop")}
    destination = f"+3069{number:08d}"
    return {
        "trafficAccountId": "account",
        "destination": destination,
        "reference": f"r{number}",
        "sms": sms,
        **changes,
    }


def bulk(*messages: dict[str, Any]) -> dict[str, Any]:
    return {"messages": list(messages)}


class Webhooks:
    """Stands where the gateway would: answers with `statuses` in turn, then with 202, and keeps what it took."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.requests: list[tuple[str, str | None, Any]] = []
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def reports(self) -> list[dict[str, Any]]:
        return [report for path, _, content in self.requests if path.endswith("/dlr") for report in content]

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Webhooks"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = server.sockets[0].getsockname()[1]
        self._writers: list[asyncio.StreamWriter] = []
        yield self
        server.close()
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        try:
            while True:
                await self._answer(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        start, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        body = await reader.readexactly(int(headers["content-length"]))
        status = self.statuses.pop(0) if self.statuses else 202
        if status < 300:
            self.requests.append((start.split()[1], headers.get("x-webhook-secret"), orjson.loads(body)))
        writer.write(f"HTTP/1.1 {status} X\r\ncontent-length: 2\r\n\r\n{{}}".encode())


@asynccontextmanager
async def standing_in(**settings: Any) -> AsyncIterator[tuple[MittoStandIn, httpx.AsyncClient]]:
    async with (
        MittoStandIn(api_key=KEY, **settings) as mitto,
        httpx.AsyncClient(base_url=mitto.url, headers={"X-Mitto-API-Key": KEY}, timeout=5) as client,
    ):
        yield mitto, client


@pytest.fixture
async def webhooks() -> AsyncIterator[Webhooks]:
    async with Webhooks().running() as running:
        yield running


async def until(condition: Callable[[], object], timeout_seconds: float = 10) -> None:
    async with asyncio.timeout(timeout_seconds):
        while not condition():
            await asyncio.sleep(0.01)


def always(outcome: str, **changes: Any) -> dict[str, Any]:
    return {"outcomes": {"ok": 0, outcome: 1}, **changes}


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
        mitto.change_behaviour(always("ok") | {"outcomes": {"ok": 1, outcome: 1 if outcome == "ok" else 0}})
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
        answers = [await client.post(SEND, json=message(n)) for n in range(12)]
        refused = [answer for answer in answers if answer.status_code == 429]
        assert 12 - 3 * 2 <= len(refused) <= 9  # a second may turn in between
        assert all(answer.headers["retry-after"] == "1" for answer in refused)
        assert mitto.summary()["accepted"] == 12 - len(refused)


async def test_reports_tell_each_fate_once_in_arrays(webhooks: Webhooks) -> None:
    behaviour = {"reports": {"delayMs": 50, "delivered": 0.5, "failed": 0.3, "silent": 0.2}}
    async with standing_in(callback_url=webhooks.url, callback_secret="s3", behaviour=behaviour) as (mitto, client):
        answer = await client.post(BULK, json=bulk(*[message(number) for number in range(2_000)]))
        ids = [item["messageId"] for item in answer.json()["messages"]]
        await until(lambda: webhooks.reports and not mitto.summary()["reports"]["pending"])
        statuses = {report["messageId"]: report["deliveryStatus"] for report in webhooks.reports}
        assert len(statuses) == len(webhooks.reports) == mitto.summary()["reports"]["posted"]
        counts = [list(statuses.values()).count(status) for status in ("Delivered", "Failure")]
        assert sum(counts) == len(statuses)
        assert 900 < counts[0] < 1_100
        assert 500 < counts[1] < 700
        assert {(path, secret) for path, secret, _ in webhooks.requests} == {("/webhooks/mitto/dlr", "s3")}
        assert max(len(content) for _, _, content in webhooks.requests) == 500
        assert all(ids[int(report["reference"][1:])] == report["messageId"] for report in webhooks.reports)
        assert all(report["updatedAt"].endswith("Z") for report in webhooks.reports)
        assert all(("error" in report) == (report["deliveryStatus"] == "Failure") for report in webhooks.reports)
        for message_id in ids[:30]:
            shown = (await client.get(f"/api/v1.1/Messages/{message_id}")).json()
            assert shown["deliveryStatus"] == statuses.get(message_id, "Sent")


async def test_references_are_echoed_only_on_demand(webhooks: Webhooks) -> None:
    behaviour = {"echoReference": False, "reports": {"delayMs": 0}}
    async with standing_in(callback_url=webhooks.url, behaviour=behaviour) as (_, client):
        answer = await client.post(SEND, json=message())
        await until(lambda: webhooks.reports)
        assert "reference" not in webhooks.reports[0]
        message_id = answer.json()["messages"][0]["messageId"]
        assert (await client.get(f"/api/v1.1/Messages/{message_id}")).json()["reference"] is None


async def test_reports_can_be_doubled_and_shuffled(webhooks: Webhooks) -> None:
    behaviour = {"reports": {"delayMs": 0, "doubled": 0.5, "shuffled": 1}}
    async with standing_in(callback_url=webhooks.url, behaviour=behaviour) as (mitto, client):
        for start in (0, 1_000):
            await client.post(BULK, json=bulk(*[message(start + number) for number in range(1_000)]))
        await until(lambda: webhooks.reports and not mitto.summary()["reports"]["pending"])
        order = [int(report["reference"][1:]) for report in webhooks.reports]
        assert set(order) == set(range(2_000))
        assert 2_800 < len(order) < 3_200
        assert order != sorted(order)
        assert any(number >= 1_000 for number in order[:100])
        assert any(number < 1_000 for number in order[-100:])


async def test_reports_are_tried_again_until_they_are_taken(webhooks: Webhooks) -> None:
    webhooks.statuses = [500, 503, 404]
    async with standing_in(callback_url=webhooks.url, behaviour={"reports": {"delayMs": 0}}) as (mitto, client):
        await client.post(BULK, json=bulk(*[message(number) for number in range(600)]))
        await until(lambda: len(webhooks.reports) == 600)
        assert not webhooks.statuses
        await until(lambda: mitto.summary()["reports"] == {"posted": 600, "pending": 0, "givenUp": 0})


async def test_reports_wait_for_a_gateway_that_is_down() -> None:
    webhooks = Webhooks()
    async with webhooks.running():
        pass
    async with standing_in(callback_url=webhooks.url, behaviour={"reports": {"delayMs": 0}}) as (mitto, client):
        for start in range(0, 10_000, 5_000):
            await client.post(BULK, json=bulk(*[message(start + number) for number in range(5_000)]))
        await asyncio.sleep(0.3)
        assert mitto.summary()["reports"] == {"posted": 0, "pending": 10_000, "givenUp": 0}
        async with webhooks.running():
            await until(lambda: len(webhooks.reports) >= 5_000)
        async with webhooks.running():  # restarted while reports flow: some may come twice, none is lost
            await until(lambda: not mitto.summary()["reports"]["pending"])
            assert len({report["messageId"] for report in webhooks.reports}) == 10_000


async def test_a_customer_answers(webhooks: Webhooks) -> None:
    inbound = {"from": "+306900000001", "to": "MyShop", "text": "ΣΤΟΠ"}
    async with standing_in(callback_url=webhooks.url, callback_secret="s3") as (_, client):
        webhooks.statuses = [503]
        assert (await client.post("/_stand-in/inbound", json=inbound)).status_code == 202
        await until(lambda: webhooks.requests)
        assert webhooks.requests == [("/webhooks/mitto/inbound", "s3", inbound)]
        assert (await client.post("/_stand-in/inbound", json={"from": "x"})).status_code == 400
    async with standing_in() as (_, client):
        assert (await client.post("/_stand-in/inbound", json=inbound)).status_code == 409


async def test_reset_forgets_and_never_repeats_an_id(webhooks: Webhooks, tmp_path: Path) -> None:
    behaviour = {"reports": {"delayMs": 60_000}}
    async with standing_in(callback_url=webhooks.url, data=tmp_path, behaviour=behaviour) as (mitto, client):
        old = (await client.post(SEND, json=message())).json()["messages"][0]["messageId"]
        assert mitto.summary()["reports"]["pending"] == 1
        totals = (await client.post("/_stand-in/reset")).json()
        assert (totals["requests"], totals["accepted"], totals["reports"]["pending"]) == (0, 0, 0)
        assert (await client.get(f"/api/v1.1/Messages/{old}")).status_code == 404
        new = (await client.post(SEND, json=message())).json()["messages"][0]["messageId"]
        assert new != old
        await until(lambda: webhooks.reports)
        assert [report["messageId"] for report in webhooks.reports] == [new]
        assert mitto.summary()["doubled"] == 0


async def test_a_restart_remembers_and_reports_what_was_left(webhooks: Webhooks, tmp_path: Path) -> None:
    settings = {"callback_url": webhooks.url, "data": tmp_path}
    async with standing_in(**settings, behaviour={"reports": {"delayMs": 0}}) as (mitto, client):
        await client.post(SEND, json=message(1))
        await until(lambda: webhooks.reports and not mitto.summary()["reports"]["pending"])
        mitto.change_behaviour({"reports": {"delayMs": 1_500, "failed": 1, "delivered": 0}})
        left = (await client.post(BULK, json=bulk(message(2), message(3)))).json()["messages"]
    with (tmp_path / "accepted.jsonl").open("ab") as record:
        record.write(b'{"first":3,"atMs":17')  # a kill in the middle of a line
    async with standing_in(**settings) as (mitto, client):
        totals = mitto.summary()
        assert (totals["requests"], totals["accepted"], totals["doubled"]) == (2, 3, 0)
        again = (await client.post(BULK, json=bulk(message(2), message(4)))).json()["messages"]
        assert mitto.summary()["sample"] == ["+306900000002"]
        assert not {item["messageId"] for item in left} & {item["messageId"] for item in again}
        assert [item["messageId"] for item in mitto.accepted("+306900000002")] == [
            left[0]["messageId"],
            again[0]["messageId"],
        ]
        await until(lambda: not mitto.summary()["reports"]["pending"])
        assert sorted(report["reference"] for report in webhooks.reports) == ["r1", "r2", "r2", "r3", "r4"]
        statuses = {report["messageId"]: report["deliveryStatus"] for report in webhooks.reports}
        assert [statuses[item["messageId"]] for item in left] == ["Failure", "Failure"]


async def test_a_killed_process_remembers_what_it_answered(tmp_path: Path) -> None:
    environment = os.environ | {"MITTO_API_KEY": KEY, "MITTO_PORT": "0", "MITTO_DATA": str(tmp_path)}
    process = subprocess.Popen(
        [sys.executable, "-m", "deploy.local.mitto"], env=environment, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    url = (await asyncio.to_thread(process.stderr.readline)).split()[-1]
    async with httpx.AsyncClient(base_url=url, headers={"X-Mitto-API-Key": KEY}) as client:
        answer = await client.post(BULK, json=bulk(message(1), message(2)))
        process.send_signal(signal.SIGKILL)
    process.wait(10)
    process.stderr.close()
    async with standing_in(data=tmp_path) as (mitto, client):
        assert mitto.summary()["accepted"] == 2
        for item in answer.json()["messages"]:
            assert (await client.get(f"/api/v1.1/Messages/{item['messageId']}")).status_code == 200


async def test_a_call_cut_off_in_its_body_accepts_nothing() -> None:
    async with standing_in() as (mitto, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", mitto.port)
        head = f"POST {BULK} HTTP/1.1\r\nHost: x\r\nX-Mitto-API-Key: {KEY}\r\nContent-Length: 100000\r\n\r\n"
        writer.write(head.encode() + b'{"messages": [')
        await writer.drain()
        writer.transport.abort()
        await asyncio.sleep(0.05)
        assert mitto.summary()["requests"] == 0
        assert await reader.read() == b""


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
