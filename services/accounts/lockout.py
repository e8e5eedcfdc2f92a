"""How often a login or a registration may be tried, by whom: failures are counted, leak away with time, and past some
cost a wait.

Three counts stand beside each other, each a row that all replicas share. Of an email *and* an address together: few
are free and the wait grows to minutes, for it is only that address that waits. Of an email alone, against many
addresses: the wait is short, since a stranger could make the owner wait, and there is none at all from an address from
which this email has logged in before. Of an address alone, against one that tries many emails: many are free, since a
whole town may be behind it, and a wait is short.

An attempt is counted before the password is looked at and taken back when it was right, so that a hundred guesses at
once are a hundred. One that has to wait is not counted: trying on does not prolong the wait.

A registration is counted by its email, whatever becomes of it: each costs a password's hash, and says whether the email
is known. By address the gateway counts them.
"""

import hashlib
import hmac
import ipaddress
import math
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from services.accounts.errors import LoginLocked, RegistrationLocked
from services.accounts.store import AccountStore, LoginCount

# How long a success is remembered; failures alone are forgotten sooner.
KNOWN_LIFE = timedelta(days=90)
FAILURES_LIFE = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Limit:
    """Failures that cost no wait, the seconds in which one of them leaks away, and the longest wait."""

    free: int
    leak_seconds: float
    wait_seconds_max: float


PAIR = Limit(free=5, leak_seconds=120, wait_seconds_max=600)
EMAIL = Limit(free=20, leak_seconds=30, wait_seconds_max=30)
ADDRESS = Limit(free=50, leak_seconds=12, wait_seconds_max=30)
REGISTRATION = Limit(free=10, leak_seconds=60, wait_seconds_max=60)


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose attempts are counted: the keys of the counts. Without an address there is only the email's."""

    email: bytes
    address: bytes | None
    pair: bytes | None

    def limits(self) -> dict[bytes, Limit]:
        named = ((self.email, EMAIL), (self.address, ADDRESS), (self.pair, PAIR))
        return {key: limit for key, limit in named if key is not None}


def subject(kind: str, email: str, address: str, secret: bytes) -> Subject:
    """`kind` keeps apart what an email can be tried for. Keys are HMACs, so that rows say nothing of anybody."""
    of_email, network = _key(secret, kind, "email", email), _network(address)
    if not network:
        return Subject(of_email, None, None)
    return Subject(of_email, _key(secret, "address", network), _key(secret, kind, "pair", email, network))


async def begin(store: AccountStore, subject: Subject, now: datetime) -> None:
    """Counts an attempt. Refuses `LoginLocked`, with the seconds to wait."""
    limits = subject.limits()
    counts = await store.locked_login_counts(sorted(limits), now)
    is_known = subject.pair is not None and counts[subject.pair].known
    waits = [
        (count.next_time - now).total_seconds()
        for key, count in counts.items()
        if not (is_known and key == subject.email)
    ]
    if (wait_seconds := max(waits)) > 0:
        raise LoginLocked(retry_seconds=math.ceil(wait_seconds))
    await store.update_login_counts([tried(counts[key], limit, now) for key, limit in limits.items()])


async def begin_registration(store: AccountStore, email: str, secret: bytes, now: datetime) -> None:
    """Counts one. Refuses `RegistrationLocked`, with the seconds to wait."""
    key = _key(secret, "register", "email", email)
    count = (await store.locked_login_counts([key], now))[key]
    if (wait_seconds := (count.next_time - now).total_seconds()) > 0:
        raise RegistrationLocked(retry_seconds=math.ceil(wait_seconds))
    await store.update_login_counts([tried(count, REGISTRATION, now)])


async def succeed(store: AccountStore, subject: Subject, now: datetime) -> None:
    """Takes the attempt back; what others failed at stays counted."""
    counts = await store.locked_login_counts(sorted(subject.limits()), now)
    changed = []
    for key, count in counts.items():
        if key == subject.pair:
            changed.append(replace(count, failures=0.0, next_time=now, known=True, expire_time=now + KNOWN_LIFE))
        else:
            changed.append(replace(count, failures=max(count.failures - 1, 0.0), next_time=min(count.next_time, now)))
    await store.update_login_counts(changed)


def tried(count: LoginCount, limit: Limit, now: datetime) -> LoginCount:
    """With one failure more, and the wait that it costs."""
    leaked = max((now - count.time).total_seconds(), 0.0) / limit.leak_seconds
    failures = max(count.failures - leaked, 0.0) + 1
    over = failures - limit.free
    wait_seconds = min(2.0 ** min(over, 30), limit.wait_seconds_max) if over > 0 else 0.0
    return replace(
        count,
        failures=failures,
        time=now,
        next_time=now + timedelta(seconds=wait_seconds),
        expire_time=max(count.expire_time, now + FAILURES_LIFE),
    )


def _key(secret: bytes, *parts: str) -> bytes:
    return hmac.digest(secret, "\0".join(parts).encode(), hashlib.sha256)


def _network(address: str) -> str:
    """Whoever has one address of IPv6 has 2^64 of them. Empty where it is no address."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return ""
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    return str(found.ipv4_mapped or ipaddress.ip_network((found, 64), strict=False))
