"""From local times and recurrence rules to instants."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astronote.campaigns.v1.schedules_pb2 import Schedule
from services.campaigns import schedules, zones
from services.campaigns.errors import ScheduleInvalid

ATHENS, NOW = "Europe/Athens", datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
ZONES = ["Europe/Athens", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kathmandu", "UTC"]


def at(local_time: str, rrule: str = "", time_zone: str = ATHENS, **fields: bool) -> Schedule:
    return Schedule(local_time=local_time, time_zone=time_zone, rrule=rrule, **fields)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def starts(schedule: Schedule, count: int, after: datetime = NOW) -> list[datetime]:
    """Of the next occurrences."""
    found: list[datetime] = []
    while len(found) < count and (start := schedules.next_start(schedule, found[-1] if found else after)):
        found.append(start.occurrence_time)
    return found


@pytest.mark.parametrize(
    ("local", "zone", "instant"),
    [
        ("2026-12-01T10:00", ATHENS, "2026-12-01T08:00"),
        # The clocks go from 03:00 to 04:00, and from 04:00 to 03:00.
        ("2027-03-28T02:59", ATHENS, "2027-03-28T00:59"),
        ("2027-03-28T03:00", ATHENS, "2027-03-28T01:00"),
        ("2027-03-28T03:30", ATHENS, "2027-03-28T01:00"),
        ("2027-03-28T04:00", ATHENS, "2027-03-28T01:00"),
        ("2027-10-31T03:30", ATHENS, "2027-10-31T00:30"),
        ("2027-10-31T04:00", ATHENS, "2027-10-31T02:00"),
        # Half an hour, and a whole day that an island left out.
        ("2026-10-04T02:10", "Australia/Lord_Howe", "2026-10-03T15:30"),
        ("2011-12-30T12:00", "Pacific/Apia", "2011-12-30T10:00"),
    ],
)
def test_a_gap_ends_at_its_end_and_an_overlap_means_the_first(local: str, zone: str, instant: str) -> None:
    assert schedules.instant(datetime.fromisoformat(local), ZoneInfo(zone)) == utc(instant)


MINUTES = st.integers(0, 4 * 365 * 1440).map(
    lambda minutes: datetime.fromisoformat("2026-01-01") + timedelta(minutes=minutes)
)


@given(MINUTES, st.sampled_from(ZONES))
def test_an_instant_shows_its_local_time_or_is_the_end_of_a_gap(local: datetime, name: str) -> None:
    zone = ZoneInfo(name)
    found = schedules.instant(local, zone)
    shown = found.astimezone(zone)
    if shown.replace(tzinfo=None) == local:
        assert shown.fold == 0
    else:
        before = (found - timedelta(seconds=1)).astimezone(zone)
        assert before.replace(tzinfo=None) < local < shown.replace(tzinfo=None)


def test_a_recurring_start_keeps_its_local_time_when_the_clocks_change() -> None:
    daily = at("2026-10-24T09:00", "FREQ=DAILY")
    found = starts(daily, 3, utc("2026-10-23T12:00"))
    assert [start.hour for start in found] == [6, 7, 7]
    assert all(start.astimezone(ZoneInfo(ATHENS)).hour == 9 for start in found)


@pytest.mark.parametrize(
    ("rrule", "days"),
    [
        ("FREQ=WEEKLY;BYDAY=MO,TH", ["11-23", "11-26", "11-30"]),
        ("FREQ=MONTHLY;BYDAY=-1FR", ["11-27", "12-25", "01-29"]),
        ("FREQ=MONTHLY;BYMONTHDAY=31", ["12-31", "01-31", "03-31"]),
        ("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=1", ["12-01", "01-01", "02-01"]),
        ("FREQ=DAILY;INTERVAL=10;COUNT=2", ["11-22", "12-02"]),
        ("FREQ=DAILY;UNTIL=20261123", ["11-22", "11-23"]),
        ("FREQ=DAILY;UNTIL=20261123T095959Z", ["11-22"]),
        ("FREQ=DAILY;UNTIL=20261123T120000", ["11-22", "11-23"]),
        # It never matches, and that is said soon.
        ("FREQ=DAILY;INTERVAL=7;BYDAY=MO", []),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", []),
    ],
)
def test_rules_recur_as_rfc_5545_says(rrule: str, days: list[str]) -> None:
    schedule = at("2026-11-22T12:00", rrule)
    schedules.check(schedule)
    found = starts(schedule, 3, NOW - timedelta(seconds=1))
    assert [start.strftime("%m-%d") for start in found] == days


@given(
    st.sampled_from(["DAILY", "WEEKLY", "MONTHLY", "YEARLY"]),
    st.integers(1, 20),
    MINUTES,
    st.sampled_from(ZONES),
)
def test_occurrences_follow_each_other_and_are_found_again(
    frequency: str, interval: int, local: datetime, zone: str
) -> None:
    schedule = at(local.strftime("%Y-%m-%dT%H:%M"), f"FREQ={frequency};INTERVAL={interval}", zone)
    found = starts(schedule, 4, datetime(2025, 12, 1, tzinfo=UTC))
    assert all(before < after for before, after in pairwise(found))
    for occurrence in found:
        alone = schedules.of_occurrence(schedule, occurrence)
        assert schedules.next_start(alone, occurrence - timedelta(seconds=1)) == (occurrence, occurrence)
        assert schedules.next_start(alone, occurrence) is None


def test_a_time_of_each_recipient_begins_where_the_day_begins() -> None:
    start = schedules.first_start(at("2026-11-23T10:00", by_recipient=True), NOW)
    assert start == (utc("2026-11-23T08:00"), utc("2026-11-22T20:00"))
    first = datetime(2026, 11, 23, 10, 0, tzinfo=ZoneInfo("Pacific/Kiritimati"))
    assert start.due_time == first


@pytest.mark.parametrize(
    ("schedule", "field"),
    [
        (Schedule(), "schedule"),
        (Schedule(time_zone=ATHENS, rrule="FREQ=DAILY"), "schedule"),
        (at("2026-11-23 10:00"), "schedule.local_time"),
        (at("2026-13-23T10:00"), "schedule.local_time"),
        (at("2026-11-23T10:00Z"), "schedule.local_time"),
        (at("2026-11-23T10:00", time_zone="Athens"), "schedule.time_zone"),
        (at("2026-11-23T10:00", time_zone="../../etc/passwd"), "schedule.time_zone"),
        (Schedule(send_time={"seconds": 1}, rrule="FREQ=DAILY"), "schedule.rrule"),
        (Schedule(send_time={"seconds": 1}, by_recipient=True), "schedule.by_recipient"),
        (Schedule(send_time={"seconds": -1}), "schedule.send_time"),
        *(
            (at("2026-11-23T10:00", rrule), "schedule.rrule")
            for rrule in (
                "DAILY",
                "FREQ=HOURLY",
                "FREQ=DAILY;INTERVAL=0",
                "FREQ=DAILY;FREQ=WEEKLY",
                "FREQ=DAILY;BYHOUR=1,2,3",
                "FREQ=DAILY;UNTIL=20261399",
                "FREQ=DAILY;COUNT=2;UNTIL=20261223",
                "FREQ=MONTHLY;BYDAY=XX",
                "FREQ=MONTHLY;BYMONTH=13",
                "FREQ=MONTHLY;BYMONTHDAY=0",
                "FREQ=MONTHLY;BYMONTHDAY=39",
                "FREQ=MONTHLY;BYDAY=54MO",
                "FREQ=DAILY\nDTSTART:20200101T000000",
                "FREQ=DAILY;" * 30,
                "INTERVAL=2",
            )
        ),
    ],
)
def test_what_is_no_schedule_is_refused_with_its_field(schedule: Schedule, field: str) -> None:
    with pytest.raises(ScheduleInvalid) as refused:
        schedules.check(schedule)
    assert refused.value.metadata["field"] == field


@pytest.mark.parametrize(
    "schedule",
    [
        at("2026-11-22T11:59"),
        at("2026-11-22T12:00"),
        at("2027-11-30T12:00"),
        at("2026-11-01T12:00", "FREQ=DAILY;COUNT=3"),
    ],
)
def test_a_first_start_lies_ahead_and_not_too_far(schedule: Schedule) -> None:
    schedules.check(schedule)
    with pytest.raises(ScheduleInvalid):
        schedules.first_start(schedule, NOW)


@pytest.mark.parametrize(
    ("phone", "own", "zone"),
    [
        ("+306912345678", "", "Europe/Athens"),
        ("+306912345678", "Asia/Tokyo", "Asia/Tokyo"),
        ("+306912345678", "Nowhere/Land", "Europe/Athens"),
        ("+447912345678", "", "Europe/London"),
        ("+12125551234", "", "America/New_York"),
        ("+13105551234", "", "America/Los_Angeles"),
        ("+34612345678", "", "Europe/Madrid"),
        ("+61412345678", "", "Australia/Sydney"),
        ("+8001234567", "", "Europe/Rome"),
    ],
)
def test_everybody_lives_by_some_clock(phone: str, own: str, zone: str) -> None:
    assert zones.of(phone, own, "Europe/Rome").key == zone
