"""Whose an API key is, asked of accounts and remembered for a while.

A key that is revoked is refused within `KNOWN_SECONDS`, and one that was just made works within `UNKNOWN_SECONDS` even
where it was tried before. While accounts can't be reached, a key that was good is so for `AWAY_SECONDS` more.
"""

import asyncio
import hashlib
import re
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import grpc
import structlog

from astronote.accounts.v1.accounts_pb2 import ResolveApiKeyRequest, ResolvedApiKey
from astronote.accounts.v1.accounts_pb2_grpc import ApiKeysServiceStub
from kit.channel import Peer
from services.gateway.errors import KeysUnavailable

KEY = re.compile(r"ar_live_[A-Za-z0-9_-]{43}")
PREFIX = "ar_live_"
KNOWN_SECONDS, UNKNOWN_SECONDS, AWAY_SECONDS = 30.0, 5.0, 300.0
TIMEOUT_SECONDS = 3.0
# One that did not answer is not waited for by every request.
PAUSE_SECONDS = 3.0
REMEMBERED_MAX = 10_000
# A flood of keys that nobody has waits for nothing.
ASKING_MAX = 50
log = structlog.get_logger()
Value = TypeVar("Value")

Resolve = Callable[[bytes], Awaitable[ResolvedApiKey]]


class ApiKeys:
    """`resolve` raises gRPC's errors; NOT_FOUND says that there is no such key."""

    def __init__(self, resolve: Resolve, clock: Callable[[], float] = time.monotonic) -> None:
        self._resolve, self._clock = resolve, clock
        self._known: dict[bytes, tuple[float, ResolvedApiKey]] = {}
        self._unknown: dict[bytes, float] = {}
        self._asking: dict[bytes, asyncio.Task[tuple[bool, ResolvedApiKey | None]]] = {}
        self._silent_time = -PAUSE_SECONDS

    def knows(self, text: str) -> bool:
        """Whether it was somebody's when it was last asked for."""
        return _hash(text) in self._known

    async def get(self, text: str) -> ResolvedApiKey | None:
        """None where it is nobody's. Refuses `KeysUnavailable`."""
        if not KEY.fullmatch(text):
            return None
        key_hash = _hash(text)
        if self._is_remembered(key_hash):
            return self._known[key_hash][1] if key_hash in self._known else None
        was_good = self._was_good(key_hash)
        if was_good is not None and self._is_silent():
            return was_good
        try:
            return await self._ask(key_hash)
        except KeysUnavailable:
            if was_good is None:
                raise
            return was_good

    def _is_remembered(self, key_hash: bytes) -> bool:
        now = self._clock()
        if key_hash in self._known:
            return now - self._known[key_hash][0] <= KNOWN_SECONDS
        return key_hash in self._unknown and now - self._unknown[key_hash] <= UNKNOWN_SECONDS

    def _is_silent(self) -> bool:
        """Accounts did not answer a moment ago."""
        return self._clock() - self._silent_time < PAUSE_SECONDS

    def _was_good(self, key_hash: bytes) -> ResolvedApiKey | None:
        asked_time, found = self._known.get(key_hash, (0.0, None))
        return found if found is not None and self._clock() - asked_time <= AWAY_SECONDS else None

    async def _ask(self, key_hash: bytes) -> ResolvedApiKey | None:
        """Once for all who wait for the same. Refuses `KeysUnavailable`, also while too much is being asked."""
        task = self._asking.get(key_hash)
        if task is None:
            if len(self._asking) >= ASKING_MAX and key_hash not in self._known:
                raise KeysUnavailable
            task = self._asking[key_hash] = asyncio.create_task(self._learn(key_hash))
            task.add_done_callback(lambda _: self._asking.pop(key_hash, None))
        # Who goes away does not take the answer from the others.
        is_answered, found = await asyncio.shield(task)
        if not is_answered:
            raise KeysUnavailable
        return found

    async def _learn(self, key_hash: bytes) -> tuple[bool, ResolvedApiKey | None]:
        """Whether accounts answered, and what."""
        # From before the question: a key may be revoked while the answer is on its way.
        now = self._clock()
        try:
            found = await self._resolve(key_hash)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.NOT_FOUND:
                self._silent_time = self._clock()
                log.warning("no api key", code=error.code().name)
                return False, None
            self._known.pop(key_hash, None)
            _bounded(self._unknown)[key_hash] = now
            return True, None
        self._unknown.pop(key_hash, None)
        _bounded(self._known)[key_hash] = (now, found)
        return True, found


def of_accounts(accounts: Peer) -> ApiKeys:
    stub = ApiKeysServiceStub(accounts.channel)

    async def resolve(key_hash: bytes) -> ResolvedApiKey:
        request = ResolveApiKeyRequest(key_hash=key_hash)
        return await stub.ResolveApiKey(request, metadata=accounts.metadata(), timeout=TIMEOUT_SECONDS)

    return ApiKeys(resolve)


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _bounded(remembered: dict[bytes, Value]) -> dict[bytes, Value]:
    """Room for one more: what was learned first goes first."""
    while len(remembered) >= REMEMBERED_MAX:
        del remembered[next(iter(remembered))]
    return remembered
