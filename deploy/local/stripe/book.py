"""What the stand-in knows: objects as Stripe shows them, events, the clock, and answers by their idempotency keys."""

import secrets
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import orjson

from deploy.local.stripe.errors import missing

API_VERSION = "2026-10-28.endive"
Object = dict[str, Any]


class Book:
    """Kept in one file, written whole after every change; without a folder it is gone with the process."""

    def __init__(self, folder: Path | None, emitted: Callable[[Object], None]) -> None:
        self._file = folder / "book.json" if folder else None
        self._emitted = emitted
        self._kept = _empty()
        if self._file and self._file.exists():
            self._kept = orjson.loads(self._file.read_bytes())

    def clear(self) -> None:
        self._kept = _empty()

    @property
    def now(self) -> int:
        """The clock's seconds of Unix time: ours, and by how much it was advanced."""
        return int(time.time()) + int(self._kept["ahead_seconds"])

    def advance(self, seconds: int) -> None:
        self._kept["ahead_seconds"] += seconds

    @property
    def events(self) -> list[Object]:
        """Oldest first."""
        return list(self._kept["events"])

    @property
    def answers(self) -> dict[str, Any]:
        """What was answered, by idempotency key."""
        return dict[str, Any](self._kept["answers"])

    def remember(self, key: str, answer: Any) -> None:
        self._kept["answers"][key] = answer

    def add(self, prefix: str, kind: str, **fields: Any) -> Object:
        made: Object = {
            "id": f"{prefix}_{secrets.token_hex(12)}",
            "object": kind,
            "created": self.now,
            "livemode": False,
        }
        made.update(fields)
        self._kept["objects"][made["id"]] = made
        return made

    def get(self, kind: str, id: str) -> Object:
        """Refuses what is not there."""
        found: Object | None = self._kept["objects"].get(id)
        if found is None or found["object"] != kind:
            raise missing(kind, id)
        return found

    def all(self, kind: str, **fields: Any) -> Iterator[Object]:
        """Newest first."""
        for found in reversed(list(self._kept["objects"].values())):
            if found["object"] == kind and all(found.get(name) == value for name, value in fields.items()):
                yield found

    def say(self, type: str, about: Object) -> None:
        """An event, with the object as it is now."""
        event = {
            "id": f"evt_{secrets.token_hex(12)}",
            "object": "event",
            "api_version": API_VERSION,
            "created": self.now,
            "type": type,
            "livemode": False,
            "pending_webhooks": 1,
            "request": {"id": None, "idempotency_key": None},
            "data": {"object": deepcopy(about)},
        }
        self._kept["events"].append(event)
        self._kept["undelivered"].append(event["id"])
        self._emitted(event)

    def undelivered(self) -> list[Object]:
        """What nobody has taken yet."""
        waiting = set(self._kept["undelivered"])
        return [event for event in self._kept["events"] if event["id"] in waiting]

    def delivered(self, event: Object) -> None:
        if event["id"] in self._kept["undelivered"]:
            self._kept["undelivered"].remove(event["id"])
        self.keep()

    def keep(self) -> None:
        if self._file:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            fresh = self._file.with_suffix(".new")
            fresh.write_bytes(orjson.dumps(self._kept))
            fresh.replace(self._file)


def _empty() -> dict[str, Any]:
    return {"objects": {}, "events": [], "answers": {}, "undelivered": [], "ahead_seconds": 0}
