"""Delivery reports as Mitto posts them: one object or an array (docs: Messages API v1.1, callbacks)."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from services.sender.errors import ReportInvalid

# What a status makes of a message; none: nothing yet. Any other status is quarantined, never taken for success.
STATES = {"delivered": "DELIVERED", "failure": "FAILED", "sent": None, "pending": None, "queued": None}
RANKS = {"FAILED": 1, "DELIVERED": 2}


@dataclass(frozen=True, slots=True)
class Report:
    """What the provider says of one message. `state` is DELIVERED or FAILED."""

    provider_message_id: str
    state: str
    time: datetime
    error: str


@dataclass
class Reading:
    """The reports of some bodies: the last word on each message, and how many said nothing or could not be read."""

    reports: dict[str, Report]
    pending: int = 0
    quarantined: int = 0


def items(body: bytes) -> list[Any]:
    """Refuses `ReportInvalid`."""
    try:
        read = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ReportInvalid(field="body", problem=str(error)[:200]) from error
    found = read if isinstance(read, list) else [read]
    if not found or not all(isinstance(item, dict) for item in found):
        raise ReportInvalid(field="body", problem="expected an object or an array of objects")
    return found


def read(bodies: Iterable[tuple[bytes, datetime]]) -> Reading:
    """Bodies with the time of their arrival, which stands in where a report has no time of its own."""
    reading = Reading({})
    for body, received in bodies:
        for item in items(body):
            _take(reading, item, received)
    return reading


def _take(reading: Reading, item: dict[str, Any], received: datetime) -> None:
    id, status = item.get("messageId"), item.get("deliveryStatus")
    if not isinstance(id, str) or not isinstance(status, str) or status.lower() not in STATES or "\0" in id:
        reading.quarantined += 1
        return
    state = STATES[status.lower()]
    if state is None:
        reading.pending += 1
        return
    known = reading.reports.get(id)
    if known is None or RANKS[known.state] < RANKS[state]:
        error = (
            ""
            if state == "DELIVERED"
            else str(item.get("error") or item.get("description") or "")[:200].replace("\0", "")
        )
        reading.reports[id] = Report(id, state, _time(item, received), error)


def _time(item: dict[str, Any], received: datetime) -> datetime:
    try:
        found = datetime.fromisoformat(item.get("updatedAt") or item.get("createdAt") or "")
    except (TypeError, ValueError):
        return received
    return found if found.tzinfo else found.replace(tzinfo=UTC)
