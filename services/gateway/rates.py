"""How often a method may be called, as its contract says: by address, by merchant, by user or API key.

Every limit is a bucket that leaks (the generic cell rate algorithm): `count` calls at once, and one more every
`per_seconds / count`. All that is kept of a subject is when it will have been idle for as long as it may call. Each
replica counts for itself, in bounded memory, so that nothing has to be asked and nothing can be away (docs/adr/0019).
"""

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from prometheus_client import Counter

from astronote.options.v1.options_pb2 import RateLimit
from services.gateway.contracts import Method
from services.gateway.errors import RateLimited

# Who was not seen for longest is forgotten: he has waited, or there are so many that one more address is no news.
SUBJECTS_MAX = 100_000
# Where a contract says nothing. A provider's callbacks have no limit: what is refused may not come again.
DEFAULTS: dict[str, tuple[RateLimit, ...]] = {
    "public": (RateLimit(by=RateLimit.ADDRESS, count=600, per_seconds=60),),
    "merchant": (
        RateLimit(by=RateLimit.MERCHANT, count=6000, per_seconds=60),
        RateLimit(by=RateLimit.CREDENTIAL, count=3000, per_seconds=60),
    ),
    "operator": (RateLimit(by=RateLimit.CREDENTIAL, count=600, per_seconds=60),),
}
GUESSES = RateLimit(by=RateLimit.ADDRESS, count=60, per_seconds=60)
LIMITED = Counter("http_limited", "Requests refused since they came too often.", ["route", "by"])


def of(method: Method) -> tuple[RateLimit, ...]:
    """What holds for a method."""
    return tuple(method.limits.rate_limits) or DEFAULTS.get(method.role, ())


@dataclass(frozen=True, eq=False, slots=True)
class Bucket:
    """One limit of one route, in seconds."""

    route: str
    by: str
    interval_seconds: float
    burst_seconds: float

    @classmethod
    def made(cls, route: str, limit: RateLimit, factor: float) -> "Bucket":
        by = RateLimit.By.Name(limit.by).lower()
        return cls(route, by, limit.per_seconds / limit.count / factor, float(limit.per_seconds))


class Turns:
    """Whose turn it is. `clock` is monotonic."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, subjects_max: int = SUBJECTS_MAX) -> None:
        self._clock, self._subjects_max = clock, subjects_max
        self._idle_times: OrderedDict[tuple[Bucket, str], float] = OrderedDict()

    def wait_seconds(self, bucket: Bucket, subject: str) -> float:
        """How long until this subject may come again; zero where it may now."""
        now = self._clock()
        idle_time = self._idle_times.get((bucket, subject), now)
        return max(idle_time + bucket.interval_seconds - now - bucket.burst_seconds, 0.0) if idle_time > now else 0.0

    def take(self, bucket: Bucket, subject: str) -> None:
        now, key = self._clock(), (bucket, subject)
        self._idle_times[key] = max(self._idle_times.get(key, now), now) + bucket.interval_seconds
        self._idle_times.move_to_end(key)
        if len(self._idle_times) > self._subjects_max:
            self._idle_times.popitem(last=False)

    def admit(self, buckets: Sequence[Bucket], subject: str) -> None:
        """Takes a turn in each of the buckets, or in none. Refuses `RateLimited`."""
        self.check(buckets, subject)
        for bucket in buckets:
            self.take(bucket, subject)

    def check(self, buckets: Sequence[Bucket], subject: str) -> None:
        """Refuses `RateLimited`; takes nothing."""
        for bucket in buckets:
            if wait_seconds := self.wait_seconds(bucket, subject):
                LIMITED.labels(bucket.route, bucket.by).inc()
                raise RateLimited(by=bucket.by, retry_seconds=math.ceil(wait_seconds))


class Limits:
    """The limits of one route. `factor` multiplies every count of its contract."""

    def __init__(self, turns: Turns, route: str, method: Method, factor: float) -> None:
        self._turns = turns
        made = [Bucket.made(route, limit, factor) for limit in of(method)]
        self._of_address = [bucket for bucket in made if bucket.by == "address"]
        self._of_merchant = [bucket for bucket in made if bucket.by == "merchant"]
        self._of_credential = [bucket for bucket in made if bucket.by == "credential"]

    def admit_address(self, network: str) -> None:
        """Before anything is done for a request. Refuses `RateLimited`."""
        if self._of_address:
            self._turns.admit(self._of_address, network)

    def admit_caller(self, merchant_id: str, credential_id: str) -> None:
        """Once it is proven who calls. Refuses `RateLimited`."""
        if self._of_merchant and merchant_id:
            self._turns.admit(self._of_merchant, merchant_id)
        if self._of_credential and credential_id:
            self._turns.admit(self._of_credential, credential_id)


class Guesses:
    """What an address may try that turns out to prove nothing: a token that is none, a key that nobody has."""

    def __init__(self, turns: Turns, factor: float) -> None:
        self._turns = turns
        self._bucket = Bucket.made("credentials", GUESSES, factor)

    def admit(self, network: str) -> None:
        """Before something that is not known is looked at. Refuses `RateLimited`."""
        self._turns.check((self._bucket,), network)

    def note(self, network: str) -> None:
        self._turns.take(self._bucket, network)
