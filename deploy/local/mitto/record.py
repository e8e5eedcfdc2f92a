"""What was accepted: a file with one line a submission, and a small index of it in memory."""

import os
import tempfile
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson

from deploy.local.mitto.behaviour import Terms
from deploy.local.mitto.identifiers import MessageIds, new_key
from deploy.local.mitto.oracle import Oracle

_REFERENCES_MAX = 100_000

Message = dict[str, Any]
"""An item as it was submitted: `{trafficAccountId, destination, reference?, sms: {text, sender}}`."""


@dataclass(frozen=True, slots=True)
class Submission:
    """Accepted in one call: the messages `first` to `first + count - 1`, at `at_ms` of Unix time."""

    first: int
    count: int
    at_ms: int
    terms: Terms


class Record:
    """Appends before the answer is given, so what was answered survives a kill of this process.

    Lines: `{"key"}` of the ids first, then `{"first", "atMs", "terms", "messages"}` for each submission, and
    `{"reported": first}` when its last delivery report was posted. Without a folder the file has no name: it costs
    no heap, and is gone with the process. Raises OSError when the disk refuses a line, and then nothing is accepted.
    """

    def __init__(self, folder: Path | None) -> None:
        if folder is None:
            self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - lives as long as the record
        else:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = (folder / "accepted.jsonl").open("a+b", buffering=0)
        self._read = lru_cache(maxsize=2)(self._read_line)
        self._forget()
        self._load()

    def accept(self, messages: list[Message], at_ms: int, terms: Terms) -> Submission:
        """Remembers checked messages of one call, at least one."""
        submission = Submission(self.count, len(messages), at_ms, terms)
        line = {"first": submission.first, "atMs": at_ms, "terms": terms, "messages": messages}
        self._index(messages, *self._append(line))
        self._keep_references(submission.first, messages)
        return submission

    def mark_reported(self, first: int) -> None:
        """Nothing is left to report about the submission that begins with `first`."""
        self._append({"reported": first})

    def find(self, message_id: str) -> tuple[Submission, int, Message] | None:
        """The submission, position in it and message of an id; None for one that was never given."""
        number = self.ids.decode(message_id)
        return self._at(number) if number is not None and number < self.count else None

    def references(self, submission: Submission) -> list[str | None]:
        """The references of a submission's messages, in their order."""
        if submission.first in self._references:
            return self._references[submission.first]
        line = self._read_line(bisect_right(self._firsts, submission.first) - 1)
        return [message.get("reference") for message in line["messages"]]

    def to_destination(self, destination: str) -> Iterator[tuple[str, Submission, int, Message]]:
        """Message id, submission, position and message for each text accepted for `+E.164`, oldest first."""
        wanted, number = int(destination), -1
        while True:
            try:
                number = self._destinations.index(wanted, number + 1)
            except ValueError:
                return
            yield self.ids.encode(number, 1)[0], *self._at(number)

    def clear(self) -> None:
        """Forgets everything; new ids never equal the old ones."""
        self._file.truncate(0)
        self._forget()
        self._load()

    def close(self) -> None:
        self._file.close()

    @property
    def count(self) -> int:
        """Messages accepted."""
        return len(self._destinations)

    def _keep_references(self, first: int, messages: list[Message]) -> None:
        """Saves reading a line again, where its reports follow soon."""
        self._references[first] = [message.get("reference") for message in messages]
        oldest = next(iter(self._references))
        while self.count - oldest > _REFERENCES_MAX and oldest != first:
            del self._references[oldest]
            oldest = next(iter(self._references))

    def _forget(self) -> None:
        self.oracle = Oracle()
        self.requests = 0
        self.unreported: dict[int, Submission] = {}
        """What a former process had still to report, by the first message."""
        self._destinations = array("Q")
        self._firsts, self._offsets, self._lengths = array("Q"), array("Q"), array("Q")
        self._references: dict[int, list[str | None]] = {}
        self._end = 0
        self._read.cache_clear()

    def _load(self) -> None:
        self._file.seek(0)
        for line in self._lines():
            if "key" in line:
                self.ids = MessageIds(line["key"])
            elif "reported" in line:
                self.unreported.pop(line["reported"], None)
            else:
                self.requests += 1
        if not self._end:
            self.ids = MessageIds(new_key())
            self._append({"key": self.ids.key})

    def _lines(self) -> Iterator[dict[str, Any]]:
        with open(self._file.fileno(), "rb", closefd=False) as reader:
            for raw in reader:
                if not raw.endswith(b"\n"):  # killed while it wrote: the call was never answered
                    self._file.truncate(self._end)
                    return
                line = orjson.loads(raw)
                start, self._end = self._end, self._end + len(raw)
                if "messages" in line:
                    self.unreported[line["first"]] = _submission(line)
                    self._index(line["messages"], start, len(raw))
                yield line

    def _index(self, messages: list[Message], offset: int, length: int) -> None:
        self._firsts.append(self.count)
        self._offsets.append(offset)
        self._lengths.append(length)
        destinations = [int(message["destination"]) for message in messages]
        self._destinations.extend(destinations)
        self.oracle.add(destinations, [message["sms"] for message in messages])

    def _append(self, line: dict[str, Any]) -> tuple[int, int]:
        """Writes a line to the file; offset and length of it. A part of a line never stays."""
        raw = orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)
        start, left = self._end, memoryview(raw)
        try:
            while left:
                left = left[self._file.write(left) :]
        except OSError:
            self._file.seek(self._file.truncate(start))
            raise
        self._end = start + len(raw)
        return start, len(raw)

    def _at(self, number: int) -> tuple[Submission, int, Message]:
        line = self._read(bisect_right(self._firsts, number) - 1)
        position = number - line["first"]
        return _submission(line), position, line["messages"][position]

    def _read_line(self, place: int) -> dict[str, Any]:
        raw = os.pread(self._file.fileno(), self._lengths[place], self._offsets[place])
        line: dict[str, Any] = orjson.loads(raw)
        return line


def _submission(line: dict[str, Any]) -> Submission:
    return Submission(line["first"], len(line["messages"]), line["atMs"], Terms(**line["terms"]))
