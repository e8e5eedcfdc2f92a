"""Connections are bounded, and idle ones cost nothing but themselves."""

import asyncio

import httpx
import pytest

from services.gateway.protocol import BoundedProtocol
from services.gateway.serving import Serving
from tests.gateway.servicers import settings

HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


async def test_one_connection_too_many_is_told_so(service_ports: dict[str, int]) -> None:
    async with Serving(settings(service_ports, connections_max=3)) as serving:
        held = [await asyncio.open_connection("127.0.0.1", serving.port) for _ in range(3)]
        for _, writer in held:
            writer.write(HEALTH)
        for reader, _ in held:
            assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 200")
        reader, writer = await asyncio.open_connection("127.0.0.1", serving.port)
        answer = await reader.read()
        writer.close()
        assert answer.startswith(b"HTTP/1.1 503 Service Unavailable")
        assert b"TOO_MANY_CONNECTIONS" in answer
        assert b"retry-after: 1\r\n" in answer
        held[0][1].close()
        async with asyncio.timeout(5), httpx.AsyncClient() as client:
            while (await client.get(f"http://127.0.0.1:{serving.port}/healthz")).status_code != 200:
                await asyncio.sleep(0.01)
        for _, writer in held:
            writer.close()


async def test_thousands_that_say_nothing_hold_up_nobody(
    service_ports: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BoundedProtocol, "head_seconds", 60.0)
    async with Serving(settings(service_ports)) as serving:
        held = await asyncio.gather(*(asyncio.open_connection("127.0.0.1", serving.port) for _ in range(2000)))
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"http://127.0.0.1:{serving.port}/healthz")).status_code == 200
        for _, writer in held:
            writer.close()


async def test_rubbish_after_a_request_does_not_spoil_its_answer(serving: Serving) -> None:
    """What the parser refuses while an answer is on its way must not get between its lines."""
    reader, writer = await asyncio.open_connection("127.0.0.1", serving.port)
    writer.write(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\nGARBAGE\r\n\r\n")
    async with asyncio.timeout(5):
        answer = await reader.read()
    writer.close()
    assert answer.count(b"HTTP/1.1") <= 1
