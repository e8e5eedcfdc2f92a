"""The proof that an event comes from Stripe: an HMAC over the raw body and a time, which must be about now.

https://docs.stripe.com/webhooks#verify-manually. Stripe's own client refuses what is old and takes what is far ahead.
"""

import hashlib
import hmac
import re
from collections.abc import Sequence

from services.wallet.errors import StripeSignatureWrong

TOLERANCE_SECONDS = 300
TIME = re.compile(r"[0-9]{1,15}")


def check(header: str, body: bytes, secrets: Sequence[str], now_seconds: float) -> None:
    """Refuses `StripeSignatureWrong`. Any of the secrets will do, so that one can be replaced without a gap; all are
    compared, in constant time.
    """
    parts = [part.strip().partition("=") for part in header.split(",")]
    times = [value for name, _, value in parts if name == "t" and TIME.fullmatch(value)]
    given = [value.encode() for name, _, value in parts if name == "v1"]
    if len(times) != 1 or abs(now_seconds - int(times[0])) > TOLERANCE_SECONDS:
        raise StripeSignatureWrong
    signed = times[0].encode() + b"." + body
    known = [hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest().encode() for secret in secrets]
    if not sum(hmac.compare_digest(one, other) for one in known for other in given):
        raise StripeSignatureWrong
