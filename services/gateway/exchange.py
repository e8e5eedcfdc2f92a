"""One HTTP request and its answer, over ASGI: bounded reading, and headers that every answer carries."""

import asyncio
from collections.abc import AsyncIterator, Iterable

from starlette.types import Message, Receive, Scope, Send

from services.gateway.errors import BodyTooLarge, BodyTooSlow, ClientGone, ContentEncodingUnsupported, TooMuchInHand

Header = tuple[bytes, bytes]
JSON = "application/json"
# What a client may still send of a refused body, so that it reads the refusal instead of a reset connection.
DRAIN_BYTES_MAX = 64 * 1024 * 1024
DRAIN_SECONDS = 2.0
SECURITY: list[Header] = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"strict-transport-security", b"max-age=31536000"),
]
DATA_POLICY = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
# Pages bring their style with them, run nothing, and post only to where they come from.
PAGE_POLICY = (
    b"content-security-policy",
    b"default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data: https:; form-action 'self';"
    b" base-uri 'none'; frame-ancestors 'none'",
)
NO_STORE = (b"cache-control", b"no-store")


class Room:
    """What the bodies of all requests take up in memory together. Counted as it arrives: a promised length is none."""

    def __init__(self, bytes_max: int) -> None:
        self.bytes_left = bytes_max

    def take(self, count: int) -> None:
        """Refuses `TooMuchInHand`."""
        if count > self.bytes_left:
            raise TooMuchInHand(retry_seconds=1)
        self.bytes_left -= count

    def give_back(self, count: int) -> None:
        self.bytes_left += count


class Exchange:
    """`headers` have lower-case names; one that came twice is joined by commas, so that it can't pass for either.

    `network` is whom a limit counts, and `shared` what every answer says of who may read it (`cors.py`).
    """

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, request_id: str, headers: dict[str, str], room: Room
    ) -> None:
        self.verb: str = scope["method"]
        self.path: bytes = scope["raw_path"]
        self.query: bytes = scope["query_string"]
        self.needs_host = scope["http_version"] != "1.0"
        self.headers = headers
        self.request_id = request_id
        self.client_address: str = (scope.get("client") or ("",))[0]
        self.network = self.client_address
        self.shared: list[Header] = []
        self.takes_cookies = True
        self.status = 0
        #: Whether the connection ends with it.
        self.is_last = False
        #: Whether what refuses the request is to be a page.
        self.shows_page = False
        self.is_complete = headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers
        self._receive, self._send, self._room = receive, send, room
        self._held_bytes = 0

    async def body(self, bytes_max: int, seconds: float) -> bytes:
        """The whole body, which must arrive within the time.

        Refuses `BodyTooLarge`, `BodyTooSlow`, `ClientGone`, `TooMuchInHand`.
        """
        if self.is_complete:
            return b""
        try:
            async with asyncio.timeout(seconds):
                return b"".join([self._held(piece) async for piece in self._pieces(bytes_max)])
        except TimeoutError as error:
            raise BodyTooSlow(seconds=seconds) from error

    def _held(self, piece: bytes) -> bytes:
        self._room.take(len(piece))
        self._held_bytes += len(piece)
        return piece

    def close(self) -> None:
        """At the end of it."""
        self._room.give_back(self._held_bytes)

    async def pieces(self, bytes_max: int, idle_seconds: float, size: int) -> AsyncIterator[bytes]:
        """The body, re-cut into pieces of `size`. Refuses what `body` refuses, `BodyTooSlow` for each wait."""
        pieces, held = self._pieces(bytes_max), bytearray()
        while True:
            try:
                async with asyncio.timeout(idle_seconds):
                    piece = await anext(pieces, None)
            except TimeoutError as error:
                raise BodyTooSlow(seconds=idle_seconds) from error
            if piece is None:
                break
            held += piece
            while len(held) >= size:
                yield bytes(held[:size])
                del held[:size]
        if held:
            yield bytes(held)

    async def _pieces(self, bytes_max: int) -> AsyncIterator[bytes]:
        if self.headers.get("content-encoding", "identity") != "identity":
            raise ContentEncodingUnsupported
        length = self.headers.get("content-length", "")
        if length.isdigit() and int(length) > bytes_max:
            raise BodyTooLarge(bytes_max=bytes_max)
        count = 0
        while not self.is_complete:
            message = await self._next()
            count += len(message.get("body", b""))
            if count > bytes_max:
                raise BodyTooLarge(bytes_max=bytes_max)
            yield message.get("body", b"")

    async def _next(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        self.is_complete = not message.get("more_body", False)
        return message

    async def gone(self) -> None:
        """Returns when the client has gone. What it still sends is dropped."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def answer(self, status: int, content_type: str, body: bytes, headers: Iterable[Header] = ()) -> None:
        await self.start(status, content_type, [(b"content-length", str(len(body)).encode()), *headers])
        if self.is_complete or "expect" in self.headers:
            await self._send({"type": "http.response.body", "body": body})
        else:
            await self.write(body)
            await self._drain()
            await self.finish()

    async def answer_empty(self, status: int, headers: Iterable[Header] = ()) -> None:
        """For 204 and 304, which have no body and no length."""
        await self.start(status, "", headers)
        await self.finish()

    async def start(self, status: int, content_type: str, headers: Iterable[Header] = ()) -> None:
        """Begins an answer whose body comes by `write`."""
        self.status = status
        sent = [*headers, (b"x-request-id", self.request_id.encode()), *SECURITY, *self.shared]
        sent.append(PAGE_POLICY if content_type.startswith("text/html") else DATA_POLICY)
        if content_type:
            sent.append((b"content-type", content_type.encode("latin-1")))
        if not any(name == b"cache-control" for name, _ in sent):
            sent.append(NO_STORE)
        if self.is_last or not self.is_complete:
            sent.append((b"connection", b"close"))
        await self._send({"type": "http.response.start", "status": status, "headers": sent})

    async def write(self, piece: bytes) -> None:
        await self._send({"type": "http.response.body", "body": piece, "more_body": True})

    async def finish(self) -> None:
        await self._send({"type": "http.response.body", "body": b""})

    async def _drain(self) -> None:
        """Reads on for a little: many clients read nothing before they have sent everything."""
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                count = 0
                while not self.is_complete and count < DRAIN_BYTES_MAX:
                    count += len((await self._next()).get("body", b""))
        except (TimeoutError, ClientGone):
            return


def headers_of(scope: Scope) -> dict[str, str]:
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}{'; ' if name == 'cookie' else ', '}{value}" if name in headers else value
    return headers
