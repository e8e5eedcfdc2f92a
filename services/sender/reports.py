"""Delivery reports as Mitto posts them: one object or an array (docs: Messages API v1.1, callbacks)."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from services.sender.errors import ReportInvalid
from services.sender.webhooks import Body, Quarantined, items

# What a status makes of a message. Any other status is quarantined, never taken for success.
STATES = {
    "delivered": "DELIVERED",
    "failure": "FAILED",
    "sent": "ACCEPTED",
    "pending": "ACCEPTED",
    "queued": "ACCEPTED",
}
RANKS = {"ACCEPTED": 0, "FAILED": 1, "DELIVERED": 2}
ID_LENGTH_MAX = 200
ITEM_LENGTH_MAX = 2000
MESSAGE_IDS = 1 << 63
# A time that is further from the arrival than this says nothing.
CLOCK_SKEW_MAX = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Report:
    """What the provider says of one message. `state` is ACCEPTED (it has it), FAILED or DELIVERED; `message_id` is our
    own id of it, where the report carries it.
    """

    provider_message_id: str
    state: str
    time: datetime
    error: str
    message_id: int | None = None


@dataclass
class Reading:
    """The reports of some bodies: the last word on each message, how many there were, and what could not be read."""

    reports: dict[str, Report] = field(default_factory=dict)
    count: int = 0
    quarantined: list[Quarantined] = field(default_factory=list)


@dataclass
class Applied:
    """What reports did. `moved` counts messages by the state they left and the one they have now. `absent` are those
    whose message is not there yet. `late` came when their unknown message had expired, and `contradicting` name a
    message that the provider has under another id, or never took: both change nothing.
    """

    moved: Counter[tuple[str, str]] = field(default_factory=Counter)
    absent: list[Report] = field(default_factory=list)
    late: int = 0
    contradicting: int = 0


def read(bodies: Iterable[Body]) -> Reading:
    """The time of arrival stands in where a report has no time of its own."""
    reading = Reading()
    for body in bodies:
        try:
            found = items(body.body, ReportInvalid)
        except ReportInvalid as refusal:
            text = body.body[:ITEM_LENGTH_MAX].decode(errors="replace").replace("\0", "")
            reading.quarantined.append(Quarantined(body.id, 0, refusal.metadata["problem"], text))
            continue
        for position, item in enumerate(found):
            reading.count += 1
            if problem := _problem(item):
                text = orjson.dumps(item).decode()[:ITEM_LENGTH_MAX]
                reading.quarantined.append(Quarantined(body.id, position, problem, text))
                continue
            report = _report(item, body.create_time)
            known = reading.reports.get(report.provider_message_id)
            reading.reports[report.provider_message_id] = _better(known, report) if known else report
    return reading


def is_id(text: str) -> bool:
    """Whether the provider may call a message so: in an answer and in a report alike, or the two would never meet."""
    return 0 < len(text) <= ID_LENGTH_MAX and text.isprintable()


def message_id(reference: object) -> int | None:
    """Our message's id, where a reference is one."""
    if not isinstance(reference, str) or not (reference.isascii() and reference.isdecimal() and len(reference) < 20):
        return None
    number = int(reference)
    return number if 0 < number < MESSAGE_IDS else None


def _problem(item: Any) -> str:
    """Why an item can't be read; empty where it can."""
    if not isinstance(item, dict):
        return "no object"
    id, status = item.get("messageId"), item.get("deliveryStatus")
    if not isinstance(id, str) or not is_id(id):
        return "no message id"
    if not isinstance(status, str):
        return "no status"
    return "" if status.lower() in STATES else "unknown status"


def _report(item: dict[str, Any], received: datetime) -> Report:
    state = STATES[item["deliveryStatus"].lower()]
    words = str(item.get("error") or item.get("description") or "")[:200].replace("\0", "")
    error = words if state == "FAILED" else ""
    return Report(item["messageId"], state, _time(item, received), error, message_id(item.get("reference")))


def _better(known: Report, other: Report) -> Report:
    best = other if RANKS[other.state] > RANKS[known.state] else known
    return replace(best, message_id=known.message_id or other.message_id)


def _time(item: dict[str, Any], received: datetime) -> datetime:
    try:
        found = datetime.fromisoformat(item.get("updatedAt") or item.get("createdAt") or "")
        found = (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return received
    return found if abs(found - received) < CLOCK_SKEW_MAX else received
