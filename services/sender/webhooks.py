"""What the provider posts: the proof that it was the provider, the body as it is kept, and the items in it."""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import orjson

from kit.errors import InvalidArgument
from services.sender.errors import WebhookSecretWrong

SECRET_HEADER = "http-x-webhook-secret"  # noqa: S105 (a name)
SIGNATURE_HEADER = "http-x-webhook-signature"


class Body(NamedTuple):
    """What was posted, and when it arrived."""

    id: int
    body: bytes
    create_time: datetime


@dataclass(frozen=True, slots=True)
class Quarantined:
    """An item of a body that we can't read."""

    webhook_id: int
    position: int
    reason: str
    item: str


class Proof:
    """Any of the secrets proves a callback: in a header, as the key of an HMAC-SHA256 of the body, or both. What is
    given has to hold, so that a body that was altered on its way is not taken for its secret's sake.
    """

    def __init__(self, secrets: Sequence[str]) -> None:
        self._secrets = [secret.encode() for secret in secrets]

    def check(self, metadata: Mapping[str, str | bytes], body: bytes) -> None:
        """Refuses `WebhookSecretWrong`. Every secret is compared, in constant time."""
        proofs = []
        if given := _bytes(metadata.get(SECRET_HEADER, "")):
            proofs.append(_is_one_of(given, self._secrets))
        if signature := _bytes(metadata.get(SIGNATURE_HEADER, "")).lower():
            digests = [hmac.new(secret, body, hashlib.sha256).hexdigest().encode() for secret in self._secrets]
            proofs.append(_is_one_of(signature, digests))
        if not proofs or not all(proofs):
            raise WebhookSecretWrong


def _is_one_of(given: bytes, known: Sequence[bytes]) -> bool:
    return sum(hmac.compare_digest(given, each) for each in known) > 0


def items(body: bytes, refusal: type[InvalidArgument]) -> list[Any]:
    """Those of an array, or the one object. Refuses so where there is no object at all."""
    try:
        read = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise refusal(field="body", problem=str(error)[:200]) from error
    found = read if isinstance(read, list) else [read]
    if not any(isinstance(item, dict) for item in found):
        raise refusal(field="body", problem="expected an object or an array of objects")
    return found


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode()
