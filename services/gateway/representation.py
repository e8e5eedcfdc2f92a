"""An answer that changes nothing, as it goes over the wire: with its ETag, or not again where the client has it, and
compressed where the client takes that.

Never that of a method with effects: those are the ones that hand out secrets (tokens, keys), and a secret that is
compressed beside what somebody else chose can be guessed from the length (BREACH).
"""

import asyncio
import re
import zlib
from collections.abc import Iterable
from hashlib import blake2b

from services.gateway.exchange import Exchange, Header

# Below it a packet is a packet.
GZIP_BYTES_MIN = 1024
# Above it the loop would stand still for milliseconds.
OFF_LOOP_BYTES_MIN = 256 * 1024
# Most of the gain for a fraction of the time.
LEVEL = 1
GZIP = re.compile(r"(?:^|,)\s*(?:gzip|\*)\s*(?:;\s*q=(?P<weight>[0-9.]+)\s*)?(?:,|$)", re.IGNORECASE)
TAG = re.compile(r'(?:W/)?"([^"]*?)(?:-gzip)?"')


class Kept:
    """A body, and what is made of it when somebody first asks."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.tag = blake2b(body, digest_size=12).hexdigest()
        self._zipped = b""

    async def zipped(self) -> bytes:
        if not self._zipped:
            is_long = len(self.body) >= OFF_LOOP_BYTES_MIN
            self._zipped = await asyncio.to_thread(_zip, self.body) if is_long else _zip(self.body)
        return self._zipped


async def answer(
    exchange: Exchange, status: int, content_type: str, kept: Kept, headers: Iterable[Header] = ()
) -> None:
    headers, is_long = list(headers), len(kept.body) >= GZIP_BYTES_MIN
    if is_long:
        headers.append((b"vary", b"Accept-Encoding"))
    is_zipped = is_long and _takes_gzip(exchange.headers.get("accept-encoding", ""))
    if exchange.verb in ("GET", "HEAD"):
        # Another encoding is another representation (RFC 9110, 8.8.3.3).
        headers.append((b"etag", f'"{kept.tag}{"-gzip" if is_zipped else ""}"'.encode()))
        if _is_known(exchange.headers.get("if-none-match", ""), kept.tag):
            await exchange.answer_empty(304, headers)
            return
    if is_zipped:
        headers.append((b"content-encoding", b"gzip"))
    await exchange.answer(status, content_type, await kept.zipped() if is_zipped else kept.body, headers)


def _takes_gzip(accepted: str) -> bool:
    found = GZIP.search(accepted) if accepted else None
    return found is not None and (found["weight"] or "1").strip("0.") != ""


def _is_known(tags: str, tag: str) -> bool:
    """Whether `If-None-Match` names it, in whatever encoding."""
    return tags.strip() == "*" or (bool(tags) and tag in TAG.findall(tags))


def _zip(body: bytes) -> bytes:
    packer = zlib.compressobj(LEVEL, wbits=31)
    return packer.compress(body) + packer.flush()
