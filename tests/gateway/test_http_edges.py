"""HTTP at its edges: routes that lead nowhere, heads and bodies without an end, services that are away."""

import asyncio

import httpx
import pytest

from services.gateway.protocol import BoundedProtocol
from services.gateway.serving import Serving
from tests.gateway.answers import error
from tests.gateway.servicers import Record, settings


async def test_routes_over_http(http: httpx.AsyncClient) -> None:
    answer = await http.delete("/v1/contacts")
    error(answer, 405, "UNIMPLEMENTED")
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS, POST"
    error(await http.get("/v1/nothing"), 404, "NOT_FOUND")
    error(await http.get("/astronote.contacts.v1.ContactsService/GetContact"), 404, "NOT_FOUND")
    error(await http.get("/v1/contacts/%ff"), 400, "INVALID_ARGUMENT")


@pytest.mark.parametrize("target", ["/v1/contacts/../me", "/v1/contacts/%2e%2e/me", "//v1/contacts", "/v1/./contacts",
                                    "/v1/contacts/abc/", "/healthz/", "/v1/contacts;x", "/V1/CONTACTS"])  # fmt: skip
async def test_path_tricks_lead_nowhere(serving: Serving, record: Record, target: str) -> None:
    """By hand: a client of repute would tidy the path first."""
    text = f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    assert (await raw(serving, text.encode())).startswith(b"HTTP/1.1 404")
    assert not record.requests


@pytest.mark.parametrize(
    "request_text",
    [
        b"GET /v1/contacts/\xff HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /v1/contacts HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GARBAGE\r\n\r\n",
    ],
)
async def test_what_is_no_request_is_refused(serving: Serving, request_text: bytes) -> None:
    answer = await raw(serving, request_text)
    assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 401")) or answer == b""


async def raw(serving: Serving, text: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", serving.port)
    writer.write(text)
    async with asyncio.timeout(5):
        answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


@pytest.mark.parametrize(
    ("head", "status", "reason"),
    [
        (b"GET /v1/me HTTP/1.1\r\nX: " + b"x" * 40_000, b"431", b"HEAD_TOO_LONG"),
        (b"GET /v1/me HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 40_000 + b"\r\n\r\n", b"431", b"HEAD_TOO_LONG"),
        (b"GET /" + b"x" * 40_000, b"414", b"TARGET_TOO_LONG"),
        (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"414", b"TARGET_TOO_LONG"),
        (b"GARBAGE\r\n\r\n", b"400", b"REQUEST_MALFORMED"),
        (b"GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n", b"400", b"HOST_INVALID"),
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n", b"400", b"HOST_INVALID"),
        (b"GET /healthz HTTP/1.1\r\nHost: a/b\r\nConnection: close\r\n\r\n", b"400", b"HOST_INVALID"),
    ],
)
async def test_what_no_server_reads_is_refused_in_the_one_shape(
    serving: Serving, head: bytes, status: bytes, reason: bytes
) -> None:
    answer = await raw(serving, head)
    assert answer.startswith(b"HTTP/1.1 " + status)
    for part in (b'"reason":"' + reason, b"application/json", b"x-request-id", b"nosniff", b"no-store"):
        assert part in answer


async def test_many_headers_are_refused(serving: Serving) -> None:
    lines = b"".join(b"X-%d: x\r\n" % number for number in range(4_000))
    assert (await raw(serving, b"GET /healthz HTTP/1.1\r\n" + lines)).startswith(b"HTTP/1.1 431")


async def test_a_slow_head_is_dropped(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BoundedProtocol, "head_seconds", 0.2)
    assert await raw(serving, b"GET /healthz HTTP/1.1\r\nX: ") == b""
    assert await raw(serving, b"") == b""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{serving.port}", trust_env=False) as client:
        for pause in (0, 0.3, 0.3):
            await asyncio.sleep(pause)
            assert (await client.get("/healthz")).status_code == 200


async def test_slow_body(service_ports: dict[str, int], record: Record) -> None:
    async with Serving(settings(service_ports, body_idle_seconds=0.2)) as serving:
        head = b"POST /v1/auth:register HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        answer = await raw(serving, head + b"Content-Length: 50\r\n\r\n{")
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"BODY_TOO_SLOW" in answer
    assert not record.requests


async def test_a_service_that_is_away(service_ports: dict[str, int], http: httpx.AsyncClient) -> None:
    async with Serving(settings({**service_ports, "campaigns": 1})) as serving:
        http.base_url = f"http://127.0.0.1:{serving.port}"  # type: ignore[assignment]
        answer = await http.get("/v1/campaigns/7")
        found = error(answer, 503, "UNAVAILABLE")
        assert found["message"] == "A service that this needs is away; try again."
        assert answer.headers["retry-after"] == "1"
        assert (await http.get("/v1/contacts/7")).status_code == 200
        ready = await http.get("/readyz")
        assert ready.status_code == 503
        assert ready.json()["missing"] == ["campaigns"]
        assert (await http.get("/healthz")).status_code == 200


async def test_ready(anonymous: httpx.AsyncClient) -> None:
    answer = await anonymous.get("/readyz")
    assert answer.status_code == 200, answer.text
    assert set(answer.json()["services"].values()) == {"SERVING"}
