"""Quiet hours: whether nothing may go out to somebody now, and until when."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from services.campaigns import schedules


def until(start: str, end: str, zone: ZoneInfo, now: datetime) -> datetime | None:
    """When the quiet hours end that it is in the zone `now`; none outside of them, and where there are none (an
    empty `start`). `start` and `end` are `HH:MM`; where the `start` is after the `end` they span midnight.
    """
    local = now.astimezone(zone)
    clock = f"{local:%H:%M}"
    is_quiet = start <= clock < end if start < end else not end <= clock < start
    if not start or not is_quiet:
        return None
    day = local.date() if clock < end else local.date() + timedelta(days=1)
    ending = datetime.combine(day, time.fromisoformat(end))
    found = schedules.instant(ending, zone)
    # In autumn the clocks may show the end twice, and it is between the two.
    return found if found > now else ending.replace(tzinfo=zone, fold=1).astimezone(UTC)
