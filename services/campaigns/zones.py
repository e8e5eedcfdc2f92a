"""By whose clock a recipient lives: the contact's own time zone, or else that of the phone's country, or else the
merchant's (docs/adr/0028)."""

from functools import cache, lru_cache
from zoneinfo import ZoneInfo, available_timezones

from phonenumbers.tzdata import TIMEZONE_DATA, TIMEZONE_LONGEST_PREFIX

# Where a number says no more than its country, and the country has several clocks: the one most people live by.
MOST_LIVE_BY = frozenset({
    "America/Mexico_City",
    "America/New_York",
    "America/Sao_Paulo",
    "Asia/Jakarta",
    "Australia/Sydney",
    "Europe/Lisbon",
    "Europe/London",
    "Europe/Madrid",
    "Europe/Moscow",
    "Pacific/Auckland",
})  # fmt: skip


def of(phone: str, own: str, merchants: str) -> ZoneInfo:
    """`phone` in E.164; `own` is what the contact says, empty where it says nothing."""
    return zone(own) or of_phone(phone) or zone(merchants) or ZoneInfo("UTC")


def of_phone(phone: str) -> ZoneInfo | None:
    """The longest prefix that says a time zone decides: an area code before its country."""
    digits = phone[1:]
    for length in range(min(TIMEZONE_LONGEST_PREFIX, len(digits)), 0, -1):
        if names := TIMEZONE_DATA.get(digits[:length]):
            return _one_of(names)
    return None


@lru_cache(maxsize=4096)
def zone(name: str) -> ZoneInfo | None:
    """None for what is no IANA name."""
    return ZoneInfo(name) if name in _names() else None


@cache
def _one_of(names: tuple[str, ...]) -> ZoneInfo | None:
    return zone(next((name for name in names if name in MOST_LIVE_BY), names[0]))


@cache
def _names() -> frozenset[str]:
    return frozenset(available_timezones())
