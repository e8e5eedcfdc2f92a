"""The people of a page by when their text is due: at once, or when their own clock shows the time of the campaign."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from astronote.contacts.v1.contacts_pb2 import AudienceMember
from kit.rows import AnyRow
from services.campaigns import schedules, zones
from services.campaigns.rendering import Text

# The field of a contact that says by which clock it lives; it comes after those that the text needs.
TIME_ZONE = "time_zone"


def fields(row: AnyRow, text: Text) -> tuple[str, ...]:
    """What is asked of the audience."""
    return (*text.fields, TIME_ZONE) if _is_by_recipient(row) else text.fields


def of(
    row: AnyRow, members: Sequence[AudienceMember], late_max: timedelta
) -> dict[datetime | None, Sequence[AudienceMember]]:
    """By due time; none: at once. Whose time had passed by more than `late_max` when the campaign was started stands in
    none of them.
    """
    if not _is_by_recipient(row):
        return {None: members}
    local = schedules.local_time(row.schedule)
    due_times: dict[ZoneInfo, datetime] = {}
    found: dict[datetime | None, list[AudienceMember]] = {}
    for member in members:
        zone = zones.of(member.phone, member.values[-1], row.schedule.time_zone)
        if zone not in due_times:
            due_times[zone] = schedules.instant(local, zone)
        found.setdefault(due_times[zone], []).append(member)
    oldest = row.start_time - late_max
    return {due_time: wave for due_time, wave in found.items() if due_time and due_time >= oldest}


def _is_by_recipient(row: AnyRow) -> bool:
    """A campaign that was sent by hand has a schedule that it does not go by."""
    return row.due_time is not None and row.schedule.by_recipient
