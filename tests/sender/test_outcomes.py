"""What an answer of the provider means."""

from datetime import UTC, datetime

import orjson
import pytest

from astronote.sender.v1.batches_pb2 import BatchRecipient
from astronote.sender.v1.sender_pb2 import Message
from services.sender import outcomes
from services.sender.outcomes import Accepted, NotSent, Refused, Unknown
from services.sender.providers.mitto import read, wait_seconds

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def answer(*ids: str | None) -> bytes:
    return orjson.dumps({"bulkId": "b", "messages": [{"messageId": id} if id else {} for id in ids]})


@pytest.mark.parametrize(
    ("status", "body", "meaning"),
    [
        (200, answer("a", "b"), Accepted(["a", "b"])),
        (200, answer("a", None), Accepted(["a", None])),
        (200, answer("a"), Unknown("answer for 1 of 2 messages")),
        (200, answer("a", "b", "c"), Unknown("answer for 3 of 2 messages")),
        (200, answer("a", "a"), Unknown("answer for 2 messages, 1 ids")),
        (200, b"<html>", Unknown("unreadable answer")),
        (200, b"[]", Unknown("unreadable answer")),
        (200, b'{"messages": [1, 2]}', Unknown("unreadable answer")),
        (429, b"", NotSent("too many requests", 7)),
        (401, b"", NotSent("our key was refused (401)", 30, counts=False)),
        (403, b"", NotSent("our key was refused (403)", 30, counts=False)),
        (200, b'{"messages": [{"messageId": 1}, {"messageId": 2}]}', Unknown("answer for 2 of 2 messages")),
        (200, answer("a", "b" * 201), Unknown("answer for 2 of 2 messages")),
        (302, b"", Unknown("answer 302")),
        (408, b"", Unknown("answer 408")),
        (500, b"", Unknown("answer 500")),
        (503, b"", Unknown("answer 503")),
        (400, b"bad sender", Refused("answer 400: bad sender")),
    ],
)
def test_the_table(status: int, body: bytes, meaning: outcomes.Outcome) -> None:
    assert read(status, 7, body, 2) == meaning


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [
        ("7", 7),
        ("0", 0),
        ("", 0),
        ("-3", 0),
        ("soon", 0),
        ("٧", 0),
        ("Thu, 01 Jan 2026 00:01:30 GMT", 90),
        ("Thu, 01 Jan 2026 00:01:30 -0000", 90),
        ("Wed, 31 Dec 2025 23:00:00 GMT", 0),
        ("Thu, 01 Jan 2026 99:01:30 GMT", 0),
    ],
)
def test_a_wait_is_said_in_seconds_or_as_a_date(retry_after: str, seconds: float) -> None:
    assert wait_seconds(retry_after, NOW) == seconds


def test_only_what_was_accepted_is_captured() -> None:
    texts = [(index, BatchRecipient(credits=index + 1)) for index in range(4)]
    accepted = outcomes.results(Accepted(["a", None]), texts[:2])
    unknown = outcomes.results(Unknown("?"), texts[2:3])
    skipped = outcomes.skipped(texts[3:], "opted_out")
    change = outcomes.change([*accepted, *unknown, *skipped])
    assert change.counts == {"accepted": 1, "rejected": 1, "unknown": 1}
    assert change.skipped == {"opted_out": 1}
    assert (change.captured, change.released) == (1, 2 + 4)
    assert [result.state for result in accepted] == [Message.ACCEPTED, Message.REJECTED]
