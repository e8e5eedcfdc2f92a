"""What customers text, as Mitto posts it (docs: Messages API v1.1, callbacks), and whom it is for."""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from astronote.sender.v1.inbound_pb2 import InboundText
from services.sender import keywords
from services.sender.errors import InboundInvalid
from services.sender.webhooks import Body, Quarantined, items

FROM, TO, TEXT = ("from", "msisdn", "sender"), ("to", "destination"), ("text", "message")
# What makes an item one of its kind. The documentation names none of them.
ITS_OWN = ("messageId", "id", "createdAt", "receivedAt", "timestamp", "time")
TEXT_LENGTH_MAX = 2000
ITEM_LENGTH_MAX = 2000
TO_LENGTH_MAX = 40
# E.164: shorter numbers are services of a network.
DIGITS = re.compile(r"[1-9][0-9]{7,14}")
WRITTEN = str.maketrans("", "", " -().\u00a0")


@dataclass(frozen=True, slots=True)
class Arrival:
    """A text, whoever it is for. `key` is the same for a repeat of it."""

    key: bytes
    phone: str
    to: str
    text: str
    kind: InboundText.Kind.ValueType
    receive_time: datetime


@dataclass
class Reading:
    """The texts of some bodies by their keys, and what could not be read."""

    arrivals: dict[bytes, Arrival] = field(default_factory=dict)
    quarantined: list[Quarantined] = field(default_factory=list)


def read(bodies: Iterable[Body]) -> Reading:
    """Every body has been received, so it is an object or an array of them."""
    reading = Reading()
    for body in bodies:
        for position, item in enumerate(items(body.body, InboundInvalid)):
            phone = number(_first(item, FROM)) if isinstance(item, dict) else ""
            if phone.startswith("+"):
                arrival = _arrival(item, phone, body.create_time)
                reading.arrivals[arrival.key] = arrival
            else:
                shown = orjson.dumps(item).decode()[:ITEM_LENGTH_MAX]
                reading.quarantined.append(Quarantined(body.id, position, "no phone", shown))
    return reading


def number(written: str) -> str:
    """E.164 where it is a number with its country code, with or without `+` or `00`; else as it is."""
    digits = written.translate(WRITTEN).removeprefix("+").removeprefix("00")
    return f"+{digits}" if DIGITS.fullmatch(digits) else written[:TO_LENGTH_MAX]


def addressees(users: Sequence[str], texted: Sequence[str]) -> list[str]:
    """Of the merchants who text from the number that was written to, and of those who texted this phone: whom the text
    is for. A number that one merchant uses is his. Where several use it, or nobody is known to, the phone decides.
    """
    if len(users) == 1:
        return list(users)
    return [merchant_id for merchant_id in texted if not users or merchant_id in users]


def _arrival(item: dict[str, Any], phone: str, received: datetime) -> Arrival:
    text = _first(item, TEXT)[:TEXT_LENGTH_MAX]
    identity = orjson.dumps(item, option=orjson.OPT_SORT_KEYS)
    if not any(item.get(name) for name in ITS_OWN):
        # The same words on another day are said again.
        identity += received.date().isoformat().encode()
    key = hashlib.sha256(identity).digest()
    return Arrival(key, phone, number(_first(item, TO)), text, keywords.kind(text), received)


def _first(item: dict[str, Any], names: Iterable[str]) -> str:
    """The first of these that says something. PostgreSQL's text holds no NUL."""
    found = next((item[name] for name in names if isinstance(item.get(name), str | int) and item[name] != ""), "")
    return str(found).replace("\0", "").strip()
