"""The people of a page by when their text is due, and by whose clock they live: at once, or when their own clock shows
the time of the campaign; and never in their quiet hours, which are looked at when a sender begins (`claims.py`).
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from astronote.contacts.v1.contacts_pb2 import AudienceMember
from kit.rows import AnyRow
from services.campaigns import schedules, zones
from services.campaigns.rendering import Text

# The field of a contact that says by which clock it lives; it comes after those that the text needs.
TIME_ZONE = "time_zone"


class Wave(NamedTuple):
    """When a batch is due (none: at once), and the time zone of those in it, where the campaign has quiet hours."""

    due_time: datetime | None = None
    time_zone: str = ""


def fields(row: AnyRow, text: Text) -> tuple[str, ...]:
    """What is asked of the audience."""
    return (*text.fields, TIME_ZONE) if _is_by_recipient(row) or row.quiet_start else text.fields


def of(row: AnyRow, members: Sequence[AudienceMember], late_max: timedelta) -> dict[Wave, Sequence[AudienceMember]]:
    """Whose time had passed by more than `late_max` when the campaign was started stands in none of them."""
    is_by_recipient = _is_by_recipient(row)
    if not is_by_recipient and not row.quiet_start:
        return {Wave(): members}
    merchants = row.schedule.time_zone if is_by_recipient else row.time_zone
    local = schedules.local_time(row.schedule) if is_by_recipient else None
    waves: dict[ZoneInfo, Wave] = {}
    found: dict[Wave, list[AudienceMember]] = {}
    for member in members:
        zone = zones.of(member.phone, member.values[-1], merchants)
        if zone not in waves:
            waves[zone] = Wave(schedules.instant(local, zone) if local else None, zone.key if row.quiet_start else "")
        found.setdefault(waves[zone], []).append(member)
    oldest = row.start_time - late_max
    return {wave: people for wave, people in found.items() if wave.due_time is None or wave.due_time >= oldest}


def _is_by_recipient(row: AnyRow) -> bool:
    """A campaign that was sent by hand has a schedule that it does not go by."""
    return row.due_time is not None and row.schedule.by_recipient
