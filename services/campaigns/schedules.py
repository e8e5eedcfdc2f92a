"""When campaigns start: from local times and recurrence rules to instants.

A local time in a gap of the clocks means the first instant after it; one that comes twice means the first of the two
(docs/adr/0028). Occurrences are instants by the clock of the schedule's time zone, which keeps them apart for ever.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from dateutil.rrule import rrule, rrulestr

from astronote.campaigns.v1.schedules_pb2 import Schedule
from services.campaigns import zones
from services.campaigns.errors import ScheduleInvalid

# How far ahead a first start may lie.
DAYS_MAX = 366
RRULE_CHARACTERS_MAX = 200
# The clock that is first on earth (Kiritimati).
FIRST_CLOCK = timedelta(hours=14)
# The Gregorian calendar repeats every 400 years, weekdays too. A rule that never matches is sought until the year 9999:
# moved there, that takes a twentieth of the time.
CYCLE_YEARS = 7600
YEAR_MAX = 2399
_LOCAL_TIME = re.compile(r"2\d{3}-\d{2}-\d{2}T\d{2}:\d{2}")
_DAY = r"(?:MO|TU|WE|TH|FR|SA|SU)"
_NTH_DAY = rf"(?:[+-]?(?:[1-4]?[1-9]|[1-5]0|5[1-3]))?{_DAY}"
_DAY_OF_MONTH, _MONTH, _POSITION = r"-?(?:[1-9]|[12]\d|3[01])", r"(?:[1-9]|1[0-2])", r"-?[1-9]\d{0,2}"
# The parts of a rule, and what each of them may be.
_PARTS = {
    "FREQ": r"DAILY|WEEKLY|MONTHLY|YEARLY",
    "INTERVAL": r"[1-9]\d{0,2}",
    "COUNT": r"[1-9]\d{0,2}",
    "UNTIL": r"2\d{7}(?:T\d{6}Z?)?",
    "BYDAY": rf"{_NTH_DAY}(?:,{_NTH_DAY})*",
    "BYMONTHDAY": rf"{_DAY_OF_MONTH}(?:,{_DAY_OF_MONTH})*",
    "BYMONTH": rf"{_MONTH}(?:,{_MONTH})*",
    "BYSETPOS": rf"{_POSITION}(?:,{_POSITION})*",
    "WKST": _DAY,
}


class Start(NamedTuple):
    """Which occurrence of a schedule, and when the work on it begins."""

    occurrence_time: datetime
    due_time: datetime


def check(schedule: Schedule, field: str = "schedule") -> None:
    """Whether it can be read at all. Refuses `ScheduleInvalid`, with the field and what is expected there."""
    start = schedule.WhichOneof("start")
    if start is None:
        raise ScheduleInvalid(field=field, rule="either sendTime or localTime")
    if schedule.time_zone and zones.zone(schedule.time_zone) is None:
        raise ScheduleInvalid(field=f"{field}.time_zone", rule="an IANA name, such as Europe/Athens")
    if start == "local_time":
        if not _LOCAL_TIME.fullmatch(schedule.local_time) or _local_time(schedule.local_time) is None:
            raise ScheduleInvalid(field=f"{field}.local_time", rule="YYYY-MM-DDTHH:MM")
    elif not 0 < schedule.send_time.seconds < datetime(YEAR_MAX, 1, 1, tzinfo=UTC).timestamp():
        raise ScheduleInvalid(field=f"{field}.send_time", rule="a time ahead")
    for name in ("rrule", "by_recipient"):
        if getattr(schedule, name) and start != "local_time":
            raise ScheduleInvalid(field=f"{field}.{name}", rule="needs localTime")
    if schedule.rrule:
        _check_rrule(schedule, f"{field}.rrule")


def first_start(schedule: Schedule, now: datetime) -> Start:
    """The next one, which has to lie ahead. Refuses `ScheduleInvalid`."""
    found = next_start(schedule, now)
    if found is None or found.occurrence_time > now + timedelta(days=DAYS_MAX):
        raise ScheduleInvalid(field="schedule", rule=f"a time ahead, within {DAYS_MAX} days")
    return found


def next_start(schedule: Schedule, after: datetime) -> Start | None:
    """None where the schedule is over. A rule costs up to 150 ms of CPU where it never matches."""
    if schedule.WhichOneof("start") == "send_time":
        send_time = schedule.send_time.ToDatetime(tzinfo=UTC)
        return Start(send_time, send_time) if send_time > after else None
    zone = ZoneInfo(schedule.time_zone)
    for local in _local_times(schedule, after):
        if (occurrence_time := instant(local, zone)) > after:
            earliest = local.replace(tzinfo=UTC) - FIRST_CLOCK
            return Start(occurrence_time, earliest if schedule.by_recipient else occurrence_time)
    return None


def of_occurrence(schedule: Schedule, occurrence_time: datetime) -> Schedule:
    """The schedule of that one alone, whatever became of the clocks since it was found."""
    if schedule.WhichOneof("start") == "send_time":
        return schedule
    local = occurrence_time.astimezone(ZoneInfo(schedule.time_zone))
    text = f"{local:%Y-%m-%dT%H:%M}"
    return Schedule(local_time=text, time_zone=schedule.time_zone, by_recipient=schedule.by_recipient)


def local_time(schedule: Schedule) -> datetime:
    """Without a zone."""
    return datetime.fromisoformat(schedule.local_time)


def instant(local: datetime, zone: ZoneInfo) -> datetime:
    """When the clocks of the zone show a local time first; where they leave it out, the first instant after the gap."""
    early, late = (local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (1, 0))
    if late.astimezone(zone).replace(tzinfo=None) == local:
        return late
    # The clocks change after `early`, and by `late` at the latest.
    after_gap = late.astimezone(zone).utcoffset()
    while late - early > timedelta(seconds=1):
        middle = early + timedelta(seconds=(late - early) // timedelta(seconds=2))
        if middle.astimezone(zone).utcoffset() == after_gap:
            late = middle
        else:
            early = middle
    return late


def _local_times(schedule: Schedule, after: datetime) -> Iterator[datetime]:
    """Local times, in order, from a day or more before that instant on."""
    begin = local_time(schedule)
    if not schedule.rrule:
        return iter([begin])
    return (_moved(found, -CYCLE_YEARS) for found in _rule(schedule).xafter(_moved(_day_before(after), CYCLE_YEARS)))


def _rule(schedule: Schedule) -> rrule:
    """Moved by whole cycles. Raises `ValueError`."""
    parts = dict(part.split("=", 1) for part in schedule.rrule.split(";"))
    if until := parts.get("UNTIL"):
        parts["UNTIL"] = _moved(_until(until, schedule.time_zone), CYCLE_YEARS).strftime("%Y%m%dT%H%M%S")
    text = ";".join(f"{name}={value}" for name, value in parts.items())
    rule = rrulestr(text, dtstart=_moved(local_time(schedule), CYCLE_YEARS))
    assert isinstance(rule, rrule)
    return rule


def _check_rrule(schedule: Schedule, field: str) -> None:
    if len(schedule.rrule) > RRULE_CHARACTERS_MAX:
        raise ScheduleInvalid(field=field, characters_max=RRULE_CHARACTERS_MAX)
    seen: set[str] = set()
    for part in schedule.rrule.split(";"):
        name, _, value = part.partition("=")
        if name in seen or not re.fullmatch(_PARTS.get(name, r"(?!)"), value):
            raise ScheduleInvalid(field=field, part=part[:50], parts=",".join(_PARTS))
        seen.add(name)
    if "FREQ" not in seen or {"COUNT", "UNTIL"} <= seen:
        raise ScheduleInvalid(field=field, rule="one FREQ, and COUNT or UNTIL")
    try:
        _rule(schedule)
    except ValueError as error:
        raise ScheduleInvalid(field=field, rule=str(error)[:200]) from error


def _until(text: str, time_zone: str) -> datetime:
    """Local; a day means all of it. Raises `ValueError`."""
    until = datetime.fromisoformat(text)
    if until.tzinfo:
        return until.astimezone(ZoneInfo(time_zone or "UTC")).replace(tzinfo=None)
    return until if "T" in text else until.replace(hour=23, minute=59)


def _moved(local: datetime, years: int) -> datetime:
    return local.replace(year=min(local.year, YEAR_MAX) + years if years > 0 else local.year + years)


def _day_before(after: datetime) -> datetime:
    """No clock is a day away from that of UTC."""
    return after.replace(tzinfo=None) - timedelta(days=1)


def _local_time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
