"""Streams over real HTTP and gRPC: events, files down, files up, and what ends them early."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from astronote.campaigns.v1.campaigns_pb2 import Progress
from services.gateway.serving import Serving
from tests.gateway.servicers import MISSING_ID, ContactNotFound, Record, settings, token

WATCH = "/v1/campaigns/c:watch"
IMPORT = "/v1/contacts:import"


async def until(holds: Callable[[], Any]) -> None:
    async with asyncio.timeout(5):
        while not holds():
            await asyncio.sleep(0.01)


def events(text: str) -> list[tuple[str, Any]]:
    """(kind, data) of each event; comments are ("", None)."""
    found = []
    for block in text.split("\n\n")[:-1]:
        lines = dict(line.split(": ", 1) for line in block.split("\n"))
        found.append((lines.get("event", "message" if "data" in lines else ""), json.loads(lines.get("data", "null"))))
    return found


async def watched(http: httpx.AsyncClient, record: Record) -> tuple[httpx.Response, str]:
    """The answer and its text; the service goes on from where it hangs once a sign of life was seen."""
    async with http.stream("GET", WATCH) as answer:
        text = ""
        async for piece in answer.aiter_text():
            text += piece
            if ": alive\n\n" in text:
                record.hangs.set()
    return answer, text


async def test_events(http: httpx.AsyncClient, record: Record) -> None:
    record.events = [Progress(), record.hangs, Progress()]
    answer, text = await watched(http, record)
    assert answer.headers["content-type"] == "text/event-stream"
    kinds = [kind for kind, _ in events(text)]
    assert kinds[0] == kinds[-1] == "message"
    assert kinds[1:-1] == [""] * len(kinds[1:-1]) != []
    assert "etaSeconds" in events(text)[0][1] or events(text)[0][1]


async def test_events_go_on_where_they_broke_off(http: httpx.AsyncClient, record: Record) -> None:
    record.events = [Progress(event_id="7-1")]
    for headers, query in (({"last-event-id": "6-1"}, ""), ({}, "?lastEventId=6-1")):
        answer = await http.get(f"/v1/campaigns/x:watch{query}", headers=headers)
        assert answer.text.startswith("id: 7-1\ndata: {")
    assert [request.last_event_id for request in record.requests] == ["6-1", "6-1"]


async def test_events_that_are_quiet_from_the_first(http: httpx.AsyncClient, record: Record) -> None:
    record.events = [record.hangs]
    answer, text = await watched(http, record)
    assert answer.status_code == 200
    assert {kind for kind, _ in events(text)} == {""}


async def test_events_that_fail_on_the_way(http: httpx.AsyncClient, record: Record) -> None:
    record.events = [Progress(), RuntimeError("secret"), Progress()]
    answer = await http.get(WATCH)
    assert answer.status_code == 200
    # On a busy machine a sign of life may stand between them.
    first, (kind, data) = [event for event in events(answer.text) if event[0]]
    assert (first[0], kind) == ("message", "error")
    assert data["error"]["status"] == "INTERNAL"
    assert "secret" not in answer.text


async def test_events_that_fail_at_once_are_an_error(http: httpx.AsyncClient, record: Record) -> None:
    record.events = [ContactNotFound()]
    answer = await http.get(WATCH)
    assert answer.status_code == 404
    assert answer.json()["error"]["status"] == "NOT_FOUND"


async def test_a_client_that_goes_ends_the_events(http: httpx.AsyncClient, record: Record) -> None:
    record.events = [Progress(), record.hangs]
    async with http.stream("GET", WATCH) as answer:
        async for _ in answer.aiter_lines():
            break
    await until(lambda: record.cancelled)


async def test_draining_ends_events_with_word_of_it(service_ports: dict[str, int], record: Record) -> None:
    record.events = [Progress(), record.hangs]
    headers = {"authorization": f"Bearer {token(MISSING_ID)}"}
    async with httpx.AsyncClient(trust_env=False, headers=headers) as client:
        async with Serving(settings(service_ports)) as serving:
            request = client.build_request("GET", f"http://127.0.0.1:{serving.port}{WATCH}")
            answer = await client.send(request, stream=True)
            lines = answer.aiter_lines()
            assert (await anext(lines)).startswith("data: ")
        rest = "\n".join([line async for line in lines])
    assert '"status":"UNAVAILABLE"' in rest
    await until(lambda: record.cancelled)


async def test_a_file_down(http: httpx.AsyncClient, record: Record) -> None:
    answer = await http.get("/v1/contacts:export")
    assert answer.text == "page 0\npage 1\npage 2\n"
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="contacts.csv"'


async def test_an_empty_file(http: httpx.AsyncClient, record: Record) -> None:
    record.pages = 0
    answer = await http.get("/v1/contacts:export")
    assert (answer.status_code, answer.content) == (200, b"")


async def test_a_file_that_fails_at_once_is_an_error(http: httpx.AsyncClient, record: Record) -> None:
    record.events = [0]
    assert (await http.get("/v1/contacts:export")).status_code == 404


async def test_half_a_file_never_passes_for_a_whole_one(http: httpx.AsyncClient, record: Record) -> None:
    record.events = [2]
    with pytest.raises(httpx.RemoteProtocolError):
        await http.get("/v1/contacts:export")


async def test_a_file_up(http: httpx.AsyncClient, record: Record) -> None:
    content = b"phone\n" + b"x" * 1_000_000
    answer = await http.post(
        f"{IMPORT}?onDuplicate=UPDATE&validateOnly=true&consentSource=%CF%84%CE%B1%CE%BC%CE%B5%CE%AF%CE%BF",
        content=content,
        headers={"content-type": "text/csv"},
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["received"] == len(content)
    (first,) = record.requests
    assert (first.on_duplicate, first.validate_only, first.consent_source) == (2, True, "ταμείο")
    assert first.body.content_type == "text/csv"
    assert record.pieces == [262144, 262144, 262144, len(content) - 3 * 262144, 0]


async def test_small_chunks_are_joined(http: httpx.AsyncClient, record: Record) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(300):
            yield b"x" * 1000

    answer = await http.post(IMPORT, content=chunks())
    assert answer.json()["received"] == 300_000
    assert record.pieces == [262144, 300_000 - 262144, 0]


async def test_an_empty_file_up(http: httpx.AsyncClient, record: Record) -> None:
    answer = await http.post(f"{IMPORT}?onDuplicate=SKIP")
    assert answer.status_code == 200
    assert record.pieces == [0]
    assert record.requests[0].on_duplicate == 1


async def test_wrong_parameters_start_nothing(http: httpx.AsyncClient, record: Record) -> None:
    answer = await http.post(f"{IMPORT}?foo=1", content=b"x" * 600_000)
    assert answer.status_code == 400
    assert answer.json()["error"]["details"][0]["metadata"]["field"] == "foo"
    await asyncio.sleep(0.05)
    assert not record.pieces


async def test_the_services_early_refusal_is_the_answer(http: httpx.AsyncClient, record: Record) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"refuse" + b"x" * 300_000
        for _ in range(100):
            await asyncio.sleep(0.005)
            yield b"x" * 50_000

    answer = await http.post(IMPORT, content=chunks())
    assert answer.status_code == 409, answer.text
    assert answer.json()["error"]["details"][0]["reason"] == "PHONE_TAKEN"


async def test_a_refusal_that_overtakes_a_piece_is_the_answer(http: httpx.AsyncClient, record: Record) -> None:
    """The call ends between two writes or within one, and gRPC says either of two things first."""
    reasons = set()
    for _ in range(40):
        record.pieces = []
        answer = await http.post(IMPORT, content=b"refuse" + b"x" * 3_000_000)
        reasons.add(answer.json()["error"]["details"][0]["reason"])
    assert reasons == {"PHONE_TAKEN"}


async def test_a_file_that_breaks_off_is_cancelled(serving: Serving, record: Record) -> None:
    _, writer = await upload(serving, b"Content-Length: 1000000\r\n", b"x" * 400_000)
    await until(lambda: record.pieces)
    writer.close()
    await until(lambda: record.cancelled)
    assert sum(record.pieces) < 1_000_000


async def test_a_file_that_stalls_is_cancelled(service_ports: dict[str, int], record: Record) -> None:
    async with Serving(settings(service_ports, body_idle_seconds=0.3)) as serving:
        reader, writer = await upload(serving, b"Content-Length: 1000000\r\n", b"x" * 400_000)
        answer = await reader.read(2000)
        assert answer.startswith(b"HTTP/1.1 408")
        writer.close()
    await until(lambda: record.cancelled)


async def test_a_file_beyond_the_limit_is_refused(serving: Serving, record: Record) -> None:
    reader, writer = await upload(serving, b"Content-Length: 600000000\r\nExpect: 100-continue\r\n", b"")
    answer = await reader.read(2000)
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"100 Continue" not in answer
    writer.close()


async def test_the_limit_holds_while_streaming(
    service_ports: dict[str, int], record: Record, monkeypatch: pytest.MonkeyPatch, http: httpx.AsyncClient
) -> None:
    async with Serving(settings(service_ports)) as serving:
        for transcoder in (road.transcoder for road in serving.gateway._roads.values()):
            monkeypatch.setattr(transcoder, "body_bytes_max", 500_000)

        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(12):
                yield b"x" * 50_000

        answer = await http.post(f"http://127.0.0.1:{serving.port}{IMPORT}", content=chunks())
        assert answer.status_code == 413
    await until(lambda: record.cancelled)


async def upload(serving: Serving, headers: bytes, body: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", serving.port)
    authorization = f"Authorization: Bearer {token(MISSING_ID)}\r\n".encode()
    writer.write(b"POST " + IMPORT.encode() + b" HTTP/1.1\r\nHost: x\r\n" + authorization + headers + b"\r\n" + body)
    await writer.drain()
    return reader, writer
