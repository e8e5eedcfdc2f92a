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
    """Hashes E.164 phones under the suppression key (base64url of 32 bytes). Raises ValueError for another key."""

    def __init__(self, key: str) -> None:
        self._key = urlsafe_b64decode(key + "=" * (-len(key) % 4))
        if len(self._key) != KEY_BYTES:
            raise ValueError("SUPPRESSION_KEY is not base64url of 32 bytes")

    def __call__(self, phone: str) -> bytes:
        """The truncated HMAC-SHA256: the odds that two of a million phones meet are 1 in 10^26."""
        return hmac.digest(self._key, phone.encode("ascii"), "sha256")[:HASH_BYTES]
