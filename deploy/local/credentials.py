"""The local mesh's secrets: made once, kept in `<data>/credentials.json` (mode 0600)."""

import base64
import json
import os
import secrets
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

FILE = "credentials.json"


def base64url(raw: bytes) -> str:
    """Base64 for URLs, without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _key() -> str:
    return base64url(secrets.token_bytes(32))


@dataclass(frozen=True)
class KeyPair:
    """An Ed25519 pair, both halves raw (32 bytes) in base64url. The private one is the seed."""

    private: str
    public: str

    @classmethod
    def generate(cls) -> "KeyPair":
        key = Ed25519PrivateKey.generate()
        return cls(base64url(key.private_bytes_raw()), base64url(key.public_key().public_bytes_raw()))


@dataclass(frozen=True)
class Credentials:
    """`databases`: role → password. `mesh`: service → key pair. The keys are 32 random bytes in base64url."""

    databases: dict[str, str] = field(default_factory=dict)
    mesh: dict[str, KeyPair] = field(default_factory=dict)
    nats_token: str = field(default_factory=_key)
    webhook_secret: str = field(default_factory=_key)
    mitto_api_key: str = field(default_factory=_key)
    stripe_secret_key: str = field(default_factory=_key)
    stripe_webhook_secret: str = field(default_factory=_key)
    link_key: str = field(default_factory=_key)
    suppression_key: str = field(default_factory=_key)
    signing_key_encryption_key: str = field(default_factory=_key)

    @classmethod
    def keep(cls, data: Path, roles: Iterable[str], services: Iterable[str]) -> "Credentials":
        """Those in the folder, and new ones, kept from now on, for what it has none for yet."""
        file = data / FILE
        kept = json.loads(file.read_text()) if file.exists() else {}
        mesh = {name: KeyPair(**pair) for name, pair in kept.pop("mesh", {}).items()}
        credentials = cls(**kept, mesh=mesh)
        for role in roles:
            credentials.databases.setdefault(role, secrets.token_urlsafe(24))
        for service in services:
            credentials.mesh.setdefault(service, KeyPair.generate())
        _write(file, json.dumps(asdict(credentials), indent=2))
        return credentials


def _write(file: Path, text: str) -> None:
    """All or nothing: half a file of keys would lock us out of our own data."""
    if file.exists() and file.read_text() == text:
        return
    fresh = file.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    fresh.replace(file)
