"""How much may leave, and whose turn it is: the arithmetic of the rate limits at the provider's port.

A bucket holds, for requests and for messages, the time until which it is spoken for; a submission moves that time on by
its cost. A line of reserved places stands before a traffic account, and a merchant has one place in it at a time: so
merchants take turns, whatever each of them brings. A lane has a fixed share of every limit, so that single texts do
not wait behind bulk.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from kit.inbox import RetryLater

# What may leave at once after a pause: more would be twice the limit in some second.
BURST = timedelta(seconds=0.1)
# Where messages are limited, one submission takes no more than this long to pay for.
SUBMISSION_SECONDS_MAX = 0.25
HANDS_FULL_SECONDS = 0.5
LONG_AGO = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True)
class Rates:
    """Requests and messages a second; 0 messages: no limit."""

    requests: float
    messages: float

    def share(self, requests: float, messages: float) -> "Rates":
        return Rates(self.requests * requests, self.messages * messages)

    def count_max(self, count: int) -> int:
        """How many of `count` messages one submission may carry."""
        return min(count, max(1, int(self.messages * SUBMISSION_SECONDS_MAX))) if self.messages else count


@dataclass(frozen=True)
class Bucket:
    """What was taken from a limit. `turn_time` is when a merchant's reserved place comes."""

    key: str
    requests_time: datetime = LONG_AGO
    messages_time: datetime = LONG_AGO
    turn_time: datetime = LONG_AGO

    def free_time(self) -> datetime:
        return max(self.requests_time, self.messages_time) - BURST

    def spent(self, rates: Rates, slot: datetime, messages: int) -> "Bucket":
        """The bucket after a submission at `slot`, which is then its owner's turn."""
        requests_time = max(self.requests_time, slot) + timedelta(seconds=1 / rates.requests)
        messages_time = self.messages_time
        if rates.messages:
            messages_time = max(messages_time, slot) + timedelta(seconds=messages / rates.messages)
        return Bucket(self.key, requests_time, messages_time, slot)


@dataclass(frozen=True)
class Place:
    """A place in the line: go after so long. `buckets` are as they stand then."""

    wait_seconds: float
    buckets: Sequence[Bucket]


@dataclass(frozen=True)
class NoPlace:
    """Nothing is reserved; ask again after so long."""

    wait_seconds: float


def reserve(
    account: Bucket,
    merchant: Bucket,
    rates: tuple[Rates, Rates],
    messages: int,
    now: datetime,
    wait_seconds_max: float,
) -> Place | NoPlace:
    """`rates` are the account's and the merchant's. Nobody waits in the account's line for a limit of his own."""
    own = (max(merchant.free_time(), merchant.turn_time) - now).total_seconds()
    if own > 0:
        return NoPlace(own)
    slot = max(now, account.free_time())
    wait = (slot - now).total_seconds()
    if wait > wait_seconds_max:
        return NoPlace(wait)
    return Place(wait, [account.spent(rates[0], slot, messages), merchant.spent(rates[1], slot, messages)])


class Hands:
    """How many batches of one merchant a process has in hand: never all that it could have, so that the next
    merchant's are reached at once.
    """

    def __init__(self, merchant_max: int) -> None:
        self._merchant_max = merchant_max
        self._full: Counter[str] = Counter()

    @contextmanager
    def taking(self, merchant_id: str) -> Iterator[None]:
        """Raises `RetryLater` where the merchant has as many as it may have."""
        if self._full[merchant_id] >= self._merchant_max:
            raise RetryLater(HANDS_FULL_SECONDS)
        self._full[merchant_id] += 1
        try:
            yield
        finally:
            self._full[merchant_id] -= 1
            if not self._full[merchant_id]:
                del self._full[merchant_id]
