"""HTTP on a connection, with what uvicorn leaves open closed: how many connections there are, how long a request's
head may be and take, and how what is no request is refused.
"""

import asyncio
import uuid
from http import HTTPStatus
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from kit.errors import DomainError
from services.gateway import problem
from services.gateway.errors import HeadTooLong, RequestMalformed, TargetTooLong, TooManyConnections
from services.gateway.exchange import JSON, SECURITY

HEAD_BYTES_MAX = 32 * 1024
TARGET_BYTES_MAX = 8 * 1024


class OnePacket:
    """A transport whose writes of one turn of the loop leave together: uvicorn writes an answer's head and its body
    one by one, and each packet is a call of the kernel and wakes the client.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._held: list[bytes] = []

    def write(self, data: bytes) -> None:
        if not self._held:
            self._loop.call_soon(self._flush)
        self._held.append(data)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        held, self._held = self._held, []
        if held:
            self._transport.writelines(held)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class BoundedProtocol(HttpToolsProtocol):
    """A connection that begins no request in time, or does not end its head, is closed. What is no request gets an
    answer in the shape of all others, unless another answer is on its way.
    """

    head_seconds: ClassVar[float] = 10.0
    connections_max: ClassVar[int] = 15_000
    _head_bytes = 0
    _is_in_head = True
    _timer: asyncio.TimerHandle | None = None
    _refusal: DomainError | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(OnePacket(transport, self.loop))  # type: ignore[arg-type]
        if len(self.connections) > self.connections_max:
            self._refuse(TooManyConnections(retry_seconds=1))
        else:
            self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._unwatch()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        self._is_in_head, self._head_bytes = True, 0
        super().on_message_begin()
        if self._timer is None:
            self._watch()

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        self._unwatch()
        self._check_head(sum(len(name) + len(value) for name, value in self.headers))
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._is_in_head and not self.transport.is_closing():
            self._head_bytes += len(data)
            try:
                self._check_head(self._head_bytes)
            except DomainError as refusal:
                self._refuse(refusal)

    def _check_head(self, head_bytes: int) -> None:
        """Refuses `TargetTooLong`, `HeadTooLong`. What a callback of the parser raises ends in `send_400_response`."""
        if len(getattr(self, "url", b"")) > TARGET_BYTES_MAX:
            self._refusal = TargetTooLong(bytes_max=TARGET_BYTES_MAX)
        elif head_bytes > HEAD_BYTES_MAX:
            self._refusal = HeadTooLong(bytes_max=HEAD_BYTES_MAX)
        if self._refusal is not None:
            raise self._refusal

    def send_400_response(self, msg: str) -> None:
        self._refuse(self._refusal or RequestMalformed())

    def _refuse(self, refusal: DomainError) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.write(_raw(*problem.of_refusal(refusal)))
        self.transport.close()

    def _watch(self) -> None:
        self._timer = self.loop.call_later(self.head_seconds, self.transport.close)

    def _unwatch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _raw(status: int, content: dict[str, Any], headers: list[tuple[bytes, bytes]]) -> bytes:
    """An answer as bytes, where there is no request to answer."""
    body = problem.text(content)
    sent = [
        (b"content-type", JSON.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"x-request-id", uuid.uuid4().hex.encode()),
        (b"cache-control", b"no-store"),
        (b"connection", b"close"),
        *SECURITY,
        *headers,
    ]
    line = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n".encode()
    return line + b"".join(b"%b: %b\r\n" % header for header in sent) + b"\r\n" + body
