"""Who a request comes from: the access token, verified with the keys that accounts publishes."""

import asyncio
import time
from base64 import urlsafe_b64decode
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import grpc
import jwt
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from astronote.accounts.v1.accounts_pb2 import GetKeysRequest, KeySet
from astronote.accounts.v1.accounts_pb2_grpc import AuthServiceStub
from kit.channel import Peer
from services.gateway.errors import KeysUnavailable, OperatorOnly, TokenInvalid, TokenMissing

TOKEN_TYPE = "at+jwt"  # noqa: S105 (RFC 9068)
ALGORITHM = "EdDSA"
CLAIMS = ["exp", "iat", "sub", "mid", "iss", "aud"]
LEEWAY_SECONDS = 5
# An unknown key id asks accounts again, but a flood of forged ones must not.
REFRESH_SECONDS_MIN = 3.0
# A withdrawn key is forgotten after this.
REFRESH_SECONDS_MAX = 300.0
KEYS_TIMEOUT_SECONDS = 3.0
TOKEN_LENGTH_MAX = 4096
CACHE_SIZE_MAX = 10_000
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Principal:
    """On whose behalf a call goes into the mesh; empty ids where it is for nobody in particular."""

    role: str
    merchant_id: str = ""
    user_id: str = ""


@dataclass(frozen=True, slots=True)
class Token:
    user_id: str
    merchant_id: str
    role: str
    expire_time: float


class Keys:
    """The public keys by id, kept while accounts is away."""

    def __init__(self, fetch: Callable[[], Awaitable[KeySet]], clock: Callable[[], float] = time.monotonic) -> None:
        self._fetch, self._clock = fetch, clock
        self._keys: dict[str, Ed25519PublicKey] = {}
        self._asked_time = self._fetched_time = -REFRESH_SECONDS_MAX
        self._lock = asyncio.Lock()

    async def get(self, key_id: str) -> Ed25519PublicKey | None:
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
            found = await self._fetch()
        except grpc.aio.AioRpcError as error:
            log.warning("no keys", code=error.code().name)
            # The next request may try at once where there is nothing to fall back on.
            self._asked_time = self._asked_time if self._keys else -REFRESH_SECONDS_MAX
            return
        self._fetched_time = self._clock()
        self._keys = {
            key.kid: Ed25519PublicKey.from_public_bytes(urlsafe_b64decode(key.x + "=" * (-len(key.x) % 4)))
            for key in found.keys
            if (key.kty, key.crv) == ("OKP", "Ed25519")
        }


def keys_of(accounts: Peer) -> Keys:
    stub = AuthServiceStub(accounts.channel)

    async def fetch() -> KeySet:
        metadata = accounts.metadata(role="public")
        return await stub.GetKeys(GetKeysRequest(), metadata=metadata, timeout=KEYS_TIMEOUT_SECONDS)

    return Keys(fetch)


class Authentication:
    """One algorithm, issuer, audience and type, all fixed here: a token chooses nothing but which key signed it."""

    def __init__(self, keys: Keys, issuer: str, audience: str, clock: Callable[[], float] = time.time) -> None:
        self._keys, self._issuer, self._audience, self._clock = keys, issuer, audience, clock
        self._verified: dict[str, Token] = {}

    async def principal(self, role: str, authorization: str) -> Principal:
        """Who calls a method of this role. Refuses `TokenMissing`, `TokenInvalid`, `OperatorOnly`."""
        if role not in ("merchant", "operator"):
            return Principal(role)
        scheme, _, text = authorization.partition(" ")
        if scheme.lower() != "bearer" or not text:
            raise TokenMissing
        token = await self._token(text)
        if role == "merchant":
            return Principal(role, token.merchant_id, token.user_id)
        if token.role != role:
            raise OperatorOnly
        return Principal(role, user_id=token.user_id)

    async def _token(self, text: str) -> Token:
        token = self._verified.get(text)
        if token is None:
            token = await self._verify(text)
            if len(self._verified) >= CACHE_SIZE_MAX:
                self._verified.clear()
            self._verified[text] = token
        if self._clock() > token.expire_time + LEEWAY_SECONDS:
            raise TokenInvalid
        return token

    async def _verify(self, text: str) -> Token:
        if len(text) > TOKEN_LENGTH_MAX:
            raise TokenInvalid
        try:
            header = jwt.get_unverified_header(text)
            if (header.get("typ"), header.get("alg")) != (TOKEN_TYPE, ALGORITHM) or "crit" in header:
                raise TokenInvalid
            key = await self._keys.get(str(header.get("kid", "")))
            if key is None:
                raise TokenInvalid
            claims = jwt.decode(
                text,
                key,
                algorithms=[ALGORITHM],
                issuer=self._issuer,
                audience=self._audience,
                leeway=LEEWAY_SECONDS,
                # Against the clock that was handed in, by the caller.
                options={"require": CLAIMS, "verify_exp": False, "strict_aud": True},
            )
            return _token(claims)
        except (jwt.InvalidTokenError, ValueError, TypeError) as error:
            raise TokenInvalid from error


def _token(claims: dict[str, Any]) -> Token:
    """Raises `ValueError` for a claim that is not of its kind."""
    merchant_id, user_id, role = claims["mid"], claims["sub"], claims.get("role", "")
    if not (isinstance(user_id, str) and user_id and isinstance(role, str) and isinstance(merchant_id, str)):
        raise ValueError("claims")
    return Token(user_id, str(UUID(merchant_id)), role, float(claims["exp"]))
