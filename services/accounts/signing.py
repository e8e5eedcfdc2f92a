"""The keys that sign access tokens (Ed25519), sealed where they rest, and the tokens.

A refresh token is base64url of its session's id (16 bytes) and a secret (32 bytes); only the secret's hash is kept.
"""

import hashlib
import uuid
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import datetime, timedelta

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from astronote.accounts.v1.accounts_pb2 import Key
from services.accounts.errors import RefreshTokenInvalid

ISSUER = AUDIENCE = "astronote"
OPERATOR = "operator"
ACCESS_SECONDS = 900
NEXT, ACTIVE, RETIRED = "NEXT", "ACTIVE", "RETIRED"
REFRESH_LIFE = timedelta(days=30)
NONCE_BYTES, SECRET_BYTES = 12, 32


@dataclass(frozen=True, slots=True)
class SigningKey:
    """`private_key` is sealed: nonce, ciphertext and tag. `active_time` is when it began to sign, if it did."""

    kid: str
    state: str
    public_key: bytes
    private_key: bytes
    create_time: datetime
    active_time: datetime | None = None
    expire_time: datetime | None = None


def sealed(private_key: Ed25519PrivateKey, encryption_key: bytes, nonce: bytes, now: datetime) -> SigningKey:
    """A next key. The kid is made of the public key: two keys never share one."""
    public_key = private_key.public_key().public_bytes_raw()
    kid = _text(hashlib.sha256(public_key).digest()[:12])
    cipher = AESGCM(encryption_key).encrypt(nonce, private_key.private_bytes_raw(), kid.encode())
    return SigningKey(kid, NEXT, public_key, nonce + cipher, now)


def opened(key: SigningKey, encryption_key: bytes) -> Ed25519PrivateKey:
    """Raises `cryptography.exceptions.InvalidTag` where it was sealed with another key."""
    nonce, cipher = key.private_key[:NONCE_BYTES], key.private_key[NONCE_BYTES:]
    return Ed25519PrivateKey.from_private_bytes(AESGCM(encryption_key).decrypt(nonce, cipher, key.kid.encode()))


def published(key: SigningKey) -> Key:
    return Key(kty="OKP", crv="Ed25519", x=_text(key.public_key), kid=key.kid, alg="EdDSA", use="sig")


def access_token(
    key: SigningKey,
    encryption_key: bytes,
    *,
    user_id: str,
    merchant_id: str = "",
    role: str = "",
    now: datetime,
    id: str,
) -> str:
    """A merchant's token names its merchant and no role, an operator's the role and no merchant."""
    issue_time = int(now.timestamp())
    claims = {"iss": ISSUER, "aud": AUDIENCE, "iat": issue_time, "exp": issue_time + ACCESS_SECONDS}
    claims |= {"sub": user_id, "jti": id} | ({"role": role} if role else {"mid": merchant_id})
    headers = {"kid": key.kid, "typ": "at+jwt"}
    return jwt.encode(claims, opened(key, encryption_key), algorithm="EdDSA", headers=headers)


@dataclass(frozen=True, slots=True)
class RefreshToken:
    session_id: str
    secret: bytes

    def text(self) -> str:
        return _text(uuid.UUID(self.session_id).bytes + self.secret)

    def hash(self) -> bytes:
        return hashlib.sha256(self.secret).digest()

    @classmethod
    def parse(cls, text: str) -> "RefreshToken":
        """Refuses `RefreshTokenInvalid`."""
        try:
            raw = urlsafe_b64decode(text.encode("ascii"))
        except ValueError as error:
            raise RefreshTokenInvalid from error
        if len(raw) != 16 + SECRET_BYTES:
            raise RefreshTokenInvalid
        return cls(str(uuid.UUID(bytes=raw[:16])), raw[16:])


def _text(raw: bytes) -> str:
    return urlsafe_b64encode(raw).decode().rstrip("=")
