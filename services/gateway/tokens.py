"""What an access token says, once it is proven.

An issuer has one algorithm, audience and type, all fixed by us: a token chooses nothing but whose key has to have
signed it.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import jwt

from services.gateway.errors import TokenInvalid
from services.gateway.keys import Keys

LEEWAY_SECONDS = 5
TOKEN_LENGTH_MAX = 4096
USER_ID_LENGTH_MAX = 255
CACHE_SIZE_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Token:
    """Of a merchant's user, or of one with a role of his own (`operator`), who is no merchant's."""

    user_id: str
    merchant_id: str
    role: str
    expire_time: float


@dataclass(frozen=True)
class Issuer:
    """Whose tokens are taken. Only ours name roles: nobody else makes our operators."""

    name: str
    audience: str
    keys: Keys
    algorithm: str = "EdDSA"
    token_type: str = "at+jwt"  # noqa: S105 (RFC 9068)
    merchant_claim: str = "mid"
    user_claim: str = "sub"
    names_roles: bool = False

    def token(self, claims: dict[str, Any]) -> Token:
        """Raises `KeyError` or `ValueError` for a claim that is missing or not of its kind."""
        user_id, role = claims[self.user_claim], claims.get("role", "") if self.names_roles else ""
        merchant_id = "" if role else claims[self.merchant_claim]
        if not (isinstance(user_id, str) and isinstance(role, str) and isinstance(merchant_id, str)):
            raise ValueError("claims")
        if not 1 <= len(user_id) <= USER_ID_LENGTH_MAX:
            raise ValueError("user")
        return Token(user_id, "" if role else str(UUID(merchant_id)), role, float(claims["exp"]))


class Tokens:
    def __init__(self, issuers: Iterable[Issuer], clock: Callable[[], float] = time.time) -> None:
        self._issuers = {issuer.name: issuer for issuer in issuers}
        self._clock = clock
        self._verified: dict[str, Token] = {}

    def knows(self, text: str) -> bool:
        """Whether it was proven before; it may have expired since."""
        return text in self._verified

    async def verified(self, text: str) -> Token:
        """Refuses `TokenInvalid`, `KeysUnavailable`."""
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
            # Unverified: it only picks whose key has to have signed.
            issuer = self._issuers[jwt.decode(text, options={"verify_signature": False})["iss"]]
            if (header.get("typ"), header.get("alg")) != (issuer.token_type, issuer.algorithm) or "crit" in header:
                raise TokenInvalid
            key = await issuer.keys.get(str(header.get("kid", "")))
            if key is None:
                raise TokenInvalid
            claims = jwt.decode(
                text,
                key,
                algorithms=[issuer.algorithm],
                issuer=issuer.name,
                audience=issuer.audience,
                leeway=LEEWAY_SECONDS,
                # Against the clock that was handed in, by the caller.
                options={"require": ["exp", "iat", "iss", "aud"], "verify_exp": False, "strict_aud": True},
            )
            return issuer.token(claims)
        except (jwt.InvalidTokenError, KeyError, ValueError, TypeError) as error:
            raise TokenInvalid from error
