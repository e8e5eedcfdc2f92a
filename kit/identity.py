"""The mesh's own assertions: short signed tokens that say who calls, which service it is for, and on whose behalf.

Each service signs with its own Ed25519 key and knows the public keys of the others, so that no service can speak in
another's name. An assertion lives 60 seconds and is reused for half of that, so that signing and verifying cost
little on a busy road.
"""

import json
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable
from typing import TypeVar

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from kit.caller import Caller
from kit.errors import Unauthenticated

Key = TypeVar("Key")
Value = TypeVar("Value")
HEADER = "x-mesh-assertion"
LIFE_SECONDS = 60
REUSE_SECONDS = 30
LEEWAY_SECONDS = 5
CACHE_SIZE_MAX = 10_000


class AssertionInvalid(Unauthenticated):
    """The call carries no valid assertion for this service."""


class Identity:
    """A service's key pair and the public keys of the mesh; keys are base64url of 32 raw bytes."""

    def __init__(
        self, service: str, private_key: str, public_keys: dict[str, str], clock: Callable[[], float] = time.time
    ) -> None:
        self.service = service
        self._private_key = Ed25519PrivateKey.from_private_bytes(_raw(private_key))
        self._public_keys = {name: Ed25519PublicKey.from_public_bytes(_raw(key)) for name, key in public_keys.items()}
        self._clock = clock
        self._signed: dict[tuple[str, Caller], tuple[float, str]] = {}
        self._verified: dict[str, tuple[float, Caller]] = {}

    def assertion(
        self, audience: str, role: str = "service", merchant_id: str = "", user_id: str = "", api_key_id: str = ""
    ) -> str:
        now, caller = self._clock(), Caller(self.service, role, merchant_id, user_id, api_key_id)
        signed_time, token = self._signed.get((audience, caller), (0.0, ""))
        if now - signed_time > REUSE_SECONDS:
            claims = {"iss": self.service, "aud": audience, "iat": int(now), "exp": int(now) + LIFE_SECONDS}
            claims |= {"role": role, "sub": merchant_id, "uid": user_id, "key": api_key_id}
            token = jwt.encode(claims, self._private_key, algorithm="EdDSA", headers={"typ": "mesh+jwt"})
            _bounded(self._signed)[audience, caller] = (now, token)
        return token

    def verify(self, token: str) -> Caller:
        """The caller that an assertion for this service proves. Refuses `AssertionInvalid`."""
        now = self._clock()
        expire_time, caller = self._verified.get(token, (0.0, None))
        if caller is None or now > expire_time:
            expire_time, caller = self._decode(token, now)
            _bounded(self._verified)[token] = (expire_time, caller)
        return caller

    def _decode(self, token: str, now: float) -> tuple[float, Caller]:
        try:
            # Unverified: it only picks which of the mesh's keys has to have signed.
            issuer = json.loads(_raw(token.split(".")[1])).get("iss", "")
            claims = jwt.decode(
                token,
                self._public_keys[issuer],
                algorithms=["EdDSA"],
                audience=self.service,
                issuer=issuer,
                # Against the clock that was handed in, below.
                options={
                    "require": ["exp", "iat", "aud", "iss"],
                    "verify_exp": False,
                    "verify_iat": False,
                    # One service: what is meant for two could be replayed to the other.
                    "strict_aud": True,
                },
            )
            if jwt.get_unverified_header(token).get("typ") != "mesh+jwt":
                raise AssertionInvalid
        except (jwt.InvalidTokenError, KeyError, IndexError, ValueError, AttributeError, TypeError) as error:
            raise AssertionInvalid from error
        if not claims["iat"] - LEEWAY_SECONDS <= now <= claims["exp"]:
            raise AssertionInvalid
        # A caller of the release before says nothing of keys.
        who = Caller(issuer, claims["role"], claims["sub"], claims["uid"], claims.get("key", ""))
        return float(claims["exp"]), who


def _raw(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _bounded(cache: dict[Key, Value]) -> dict[Key, Value]:
    if len(cache) >= CACHE_SIZE_MAX:
        cache.clear()
    return cache
