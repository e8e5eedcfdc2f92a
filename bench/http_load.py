"""A load of HTTP/1.1 requests over so many connections, each waiting for its answer before the next request.

A raw protocol, since a client library costs more CPU than the gateway, and both share the machine.
"""

import asyncio
import gc
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import cast

HEAD_END = b"\r\n\r\n"
LENGTH = b"content-length:"


@dataclass
class Load:
    """What came of it: milliseconds of each answer, and how many answers had which status."""

    seconds: float = 0.0
    milliseconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)

    @property
    def per_second(self) -> float:
        """Only what succeeded counts."""
        return sum(count for status, count in self.statuses.items() if status < 300) / self.seconds

    def quantile(self, share: float) -> float:
        ordered = sorted(self.milliseconds)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


async def load(address: str, requests: Iterator[bytes], connections: int, seconds: float) -> Load:
    """Sends until the time is over or the requests are; raises `ConnectionError` where the server hangs up. The
    collector waits meanwhile: its pauses, of a tenth of a second, are not the server's.
    """
    gc.collect()
    gc.disable()
    try:
        return await _load(address, requests, connections, seconds)
    finally:
        gc.enable()


async def _load(address: str, requests: Iterator[bytes], connections: int, seconds: float) -> Load:
    host, port = address.split(":")
    result, loop = Load(), asyncio.get_running_loop()
    began = time.perf_counter()
    until = began + seconds
    open_ones = [
        await loop.create_connection(lambda: _Connection(requests, result, until), host, int(port))
        for _ in range(connections)
    ]
    try:
        async with asyncio.timeout(seconds + 60):
            await asyncio.gather(*(connection.done for _, connection in open_ones))
    finally:
        for transport, _ in open_ones:
            transport.close()
    result.seconds = time.perf_counter() - began
    return result


def request(verb: str, path: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    lines = [f"{verb} {path} HTTP/1.1", "host: bench", *(f"{name}: {value}" for name, value in headers.items())]
    if body:
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join(lines).encode() + HEAD_END + body


class _Connection(asyncio.Protocol):
    def __init__(self, requests: Iterator[bytes], result: Load, until: float) -> None:
        self._requests, self._result, self._until = requests, result, until
        self._held, self._wanted = b"", 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's is one by shape only.
        self._transport = cast(asyncio.Transport, transport)
        self._next()

    def data_received(self, data: bytes) -> None:
        self._held += data
        if not self._wanted:
            end = self._held.find(HEAD_END)
            if end < 0:
                return
            head = self._held[:end].lower()
            at = head.find(LENGTH)
            length = int(head[at + len(LENGTH) :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            self._wanted = end + len(HEAD_END) + length
        if len(self._held) >= self._wanted:
            self._result.milliseconds.append((time.perf_counter() - self._began) * 1000)
            self._result.statuses[int(self._held[9:12])] += 1
            self._held, self._wanted = b"", 0
            self._next()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error or ConnectionError("the server closed the connection"))

    def _next(self) -> None:
        content = next(self._requests, None) if time.perf_counter() < self._until else None
        if content is None:
            if not self.done.done():
                self.done.set_result(None)
            return
        self._began = time.perf_counter()
        self._transport.write(content)
