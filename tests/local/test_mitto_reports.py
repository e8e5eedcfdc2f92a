"""The stand-in for Mitto: what it reports, and what it remembers when it is reset, restarted or killed."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from deploy.local.mitto import reports
from tests.local.mitto import BULK, KEY, SEND, Webhooks, bulk, message, standing_in, until


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


async def test_reports_can_be_doubled_and_shuffled(webhooks: Webhooks, monkeypatch: pytest.MonkeyPatch) -> None:
    # What is held back waits for the second submission, however late that one comes.
    monkeypatch.setattr(reports, "_HELD_SECONDS_MAX", 60)
    monkeypatch.setattr(reports, "_HELD_MAX", 2_000)
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
    try:
        url = (await asyncio.to_thread(process.stderr.readline)).split()[-1]
        async with httpx.AsyncClient(base_url=url, headers={"X-Mitto-API-Key": KEY}) as client:
            answer = await client.post(BULK, json=bulk(message(1), message(2)))
    finally:
        process.kill()
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
