"""Speaks to the stand-in for Mitto, and stands where it posts its reports."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import orjson

from deploy.local import ports
from deploy.local.mitto import MittoStandIn

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
        # Not an ephemeral one: while it is closed, nobody else's connection takes it.
        self.port = ports.free()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def reports(self) -> list[dict[str, Any]]:
        return [report for path, _, content in self.requests if path.endswith("/dlr") for report in content]

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Webhooks"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
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


async def until(condition: Callable[[], object], timeout_seconds: float = 10) -> None:
    async with asyncio.timeout(timeout_seconds):
        while not condition():
            await asyncio.sleep(0.01)


def always(outcome: str, **changes: Any) -> dict[str, Any]:
    return {"outcomes": {"ok": 0, outcome: 1}, **changes}
