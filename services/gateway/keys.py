"""The public keys of an issuer, by id: of accounts over gRPC, of any other as a JSON Web Key Set over HTTPS."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeAlias

import grpc
import httpx
import jwt
import orjson
import structlog
from jwt import PyJWK

from astronote.accounts.v1.accounts_pb2 import GetKeysRequest
from astronote.accounts.v1.accounts_pb2_grpc import AuthServiceStub
from kit.channel import Peer
from services.gateway.errors import KeysUnavailable

# An unknown key id asks the issuer again, but a flood of forged ones must not.
REFRESH_SECONDS_MIN = 3.0
# A withdrawn key is forgotten after this.
REFRESH_SECONDS_MAX = 300.0
TIMEOUT_SECONDS = 3.0
SET_BYTES_MAX = 256 * 1024
KEYS_MAX = 100
log = structlog.get_logger()

KeySet: TypeAlias = dict[str, PyJWK]


class Keys:
    """Kept while the issuer is away. `fetch` refuses `KeysUnavailable`."""

    def __init__(self, fetch: Callable[[], Awaitable[KeySet]], clock: Callable[[], float] = time.monotonic) -> None:
        self._fetch, self._clock = fetch, clock
        self._keys: KeySet = {}
        self._asked_time = self._fetched_time = -REFRESH_SECONDS_MAX
        self._lock = asyncio.Lock()

    async def get(self, key_id: str) -> PyJWK | None:
        """Refuses `KeysUnavailable` where no key was ever had."""
        if key_id not in self._keys or self._clock() - self._fetched_time > REFRESH_SECONDS_MAX:
            async with self._lock:
                if self._is_due(key_id):
                    await self._refresh()
        if not self._keys:
            raise KeysUnavailable
        return self._keys.get(key_id)

    def _is_due(self, key_id: str) -> bool:
        now = self._clock()
        stale = key_id not in self._keys or now - self._fetched_time > REFRESH_SECONDS_MAX
        return stale and now - self._asked_time > REFRESH_SECONDS_MIN

    async def _refresh(self) -> None:
        self._asked_time = self._clock()
        try:
            self._keys = await self._fetch()
        except KeysUnavailable as error:
            log.warning("no keys", **error.metadata)
            # The next request may try at once where there is nothing to fall back on.
            self._asked_time = self._asked_time if self._keys else -REFRESH_SECONDS_MAX
            return
        self._fetched_time = self._clock()


def of_accounts(accounts: Peer) -> Keys:
    stub = AuthServiceStub(accounts.channel)

    async def fetch() -> KeySet:
        metadata = accounts.metadata(role="public")
        try:
            found = await stub.GetKeys(GetKeysRequest(), metadata=metadata, timeout=TIMEOUT_SECONDS)
        except grpc.aio.AioRpcError as error:
            raise KeysUnavailable(code=error.code().name) from error
        return parsed(({"kty": key.kty, "crv": key.crv, "x": key.x, "kid": key.kid} for key in found.keys), "EdDSA")

    return Keys(fetch)


def of_address(client: httpx.AsyncClient, address: str, algorithm: str) -> Keys:
    """Of a JSON Web Key Set that somebody else publishes."""

    async def fetch() -> KeySet:
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS), client.stream("GET", address) as answer:
                answer.raise_for_status()
                body = b""
                async for piece in answer.aiter_bytes():
                    body += piece
                    if len(body) > SET_BYTES_MAX:
                        raise KeysUnavailable(address=address, reason="too long")
            if not (found := parsed(orjson.loads(body)["keys"], algorithm)):
                raise KeysUnavailable(address=address, reason="no key")
            return found
        except (httpx.HTTPError, TimeoutError, ValueError, KeyError, TypeError) as error:
            raise KeysUnavailable(address=address, reason=type(error).__name__) from error

    return Keys(fetch)


def parsed(keys: Iterable[Any], algorithm: str) -> KeySet:
    """Those that sign with this algorithm; a set may hold others, for other purposes."""
    found: KeySet = {}
    for key in list(keys)[:KEYS_MAX]:
        if not isinstance(key, dict) or key.get("use", "sig") != "sig" or key.get("alg", algorithm) != algorithm:
            continue
        try:
            found[str(key["kid"])] = PyJWK(key, algorithm)
        except (jwt.PyJWTError, KeyError, ValueError) as error:
            log.warning("a key that is not used", error=repr(error)[:200])
    return found
