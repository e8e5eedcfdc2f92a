"""How an opt-out is remembered: by a keyed hash of the phone, which outlives the contact and hides the number."""

import hmac
from base64 import urlsafe_b64decode

# The source of what a START undoes.
STOP, START = "STOP", "START"
# The source of what the merchant says.
MERCHANT = "merchant"
HASH_BYTES = 16
KEY_BYTES = 32


class PhoneHash:
    """Hashes E.164 phones under the suppression keys, each base64url of 32 bytes, with commas between: what is hashed
    anew is under the first, and what was hashed before may be under any (docs/adr/0036). Raises ValueError for others.
    """

    def __init__(self, keys: str) -> None:
        self._key, *self._others = map(_key, keys.split(","))

    def __call__(self, phone: str) -> bytes:
        """The truncated HMAC-SHA256: the odds that two of a million phones meet are 1 in 10^26."""
        return _hash(self._key, phone)

    @property
    def is_one(self) -> bool:
        """Whether every hash is under the one key that there is."""
        return not self._others

    def others(self, phone: str) -> list[bytes]:
        """Under the keys but the first."""
        return [_hash(key, phone) for key in self._others]

    def all(self, phone: str) -> list[bytes]:
        return [self(phone), *self.others(phone)]


def _key(text: str) -> bytes:
    key = urlsafe_b64decode(text.strip() + "=" * (-len(text.strip()) % 4))
    if len(key) != KEY_BYTES:
        raise ValueError("SUPPRESSION_KEY is not base64url of 32 bytes")
    return key


def _hash(key: bytes, phone: str) -> bytes:
    return hmac.digest(key, phone.encode("ascii"), "sha256")[:HASH_BYTES]
