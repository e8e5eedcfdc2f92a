"""The provider's own routes: submit one message, submit many, look one up."""

import re
import time
import uuid
from collections.abc import Callable
from typing import Any

from deploy.local.mitto.answers import Answer, RefusedError, json_answer, parsed
from deploy.local.mitto.behaviour import Conduct
from deploy.local.mitto.record import Message, Record, Submission
from deploy.local.mitto.reports import FAILURE, due_ms, fates, timestamp
from deploy.local.mitto.segments import segments

MESSAGES_MAX = 5_000

_destination_is_good = re.compile(r"\+[1-9][0-9]{6,14}").fullmatch
_sender_is_good = re.compile(r"\+?[0-9]{1,16}|[0-9A-Za-z]{3,11}").fullmatch

_GARBAGE = b"<html><body>Bad gateway, try a"
_NOTHING_ACCEPTED = {
    "too_many": (429, "too many requests", 1),
    "unavailable": (503, "the service is unavailable", None),
}


class Submissions:
    """Checks, accepts and answers as the provider would, or as the behaviour in force has it."""

    def __init__(self, record: Record, conduct: Conduct, schedule: Callable[[Submission], None]) -> None:
        self._record = record
        self._conduct = conduct
        self._schedule = schedule

    def send(self, body: bytes) -> Answer:
        """`{trafficAccountId, destination, sms}` → `{messages: [{messageId, trafficAccountId}]}`."""
        outcome = self._outcome()
        message = parsed(body)
        if not _is_good(message):
            raise RefusedError(400, "the destination, the sender or the text is not valid")
        return self._answer(outcome, self._accept(outcome, [message], [True]), {})

    def send_bulk(self, body: bytes) -> Answer:
        """`{messages: [...]}` → `{bulkId, messages: [...]}` by position; a refused item has no messageId."""
        outcome = self._outcome()
        messages = parsed(body).get("messages")
        if not isinstance(messages, list) or not messages:
            raise RefusedError(400, "messages must be a list that is not empty")
        if len(messages) > MESSAGES_MAX:
            raise RefusedError(400, f"at most {MESSAGES_MAX} messages in a call")
        good = [_is_good(message) for message in messages]
        return self._answer(outcome, self._accept(outcome, messages, good), {"bulkId": str(uuid.uuid4())})

    def show(self, message_id: str) -> Answer:
        """The whole message with its state by now; 404 for an id that was never given."""
        found = self._record.find(message_id)
        if found is None:
            raise RefusedError(404, "no such message")
        return json_answer(described(message_id, *found))

    def _outcome(self) -> str:
        """What happens to this submission; raises RefusedError where that needs no look at it."""
        self._record.requests += 1
        outcome = self._conduct.outcome(time.monotonic())
        if outcome in _NOTHING_ACCEPTED:
            raise RefusedError(*_NOTHING_ACCEPTED[outcome])
        return outcome

    def _accept(self, outcome: str, messages: list[Message], good: list[bool]) -> list[dict[str, str]]:
        """Remembers the good ones and has them reported; the items of the answer, one for each message."""
        if outcome == "refuse_item":
            good[self._conduct.pick(len(good))] = False
        accepted = messages
        if not all(good):
            accepted = [message for message, is_good in zip(messages, good, strict=True) if is_good]
        if not accepted:
            return [{"trafficAccountId": message["trafficAccountId"]} for message in messages]
        submission = self._record.accept(accepted, int(time.time() * 1000), self._conduct.terms)
        self._schedule(submission)
        given = self._record.ids.encode(submission.first, submission.count)
        if accepted is messages:
            return [
                {"messageId": message_id, "trafficAccountId": message["trafficAccountId"]}
                for message_id, message in zip(given, messages, strict=True)
            ]
        ids = iter(given)
        return [
            {"messageId": next(ids), "trafficAccountId": message["trafficAccountId"]}
            if is_good
            else {"trafficAccountId": message["trafficAccountId"]}
            for message, is_good in zip(messages, good, strict=True)
        ]

    def _answer(self, outcome: str, items: list[dict[str, str]], head: dict[str, object]) -> Answer:
        """The answer to an accepted submission, spoiled as the outcome says."""
        settings = self._conduct.settings
        wait_seconds = (settings.slow_ms if outcome == "slow" else settings.latency_ms) / 1000
        if outcome == "accept_and_drop":
            return Answer(0, b"", wait_seconds=wait_seconds, dropped=True)
        if outcome == "accept_and500":
            return Answer(500, b'{"message":"internal error"}', wait_seconds=wait_seconds)
        if outcome == "garbage":
            return Answer(200, _GARBAGE, wait_seconds=wait_seconds)
        if outcome == "short_answer":
            del items[self._conduct.pick(len(items))]
        return Answer(200, json_answer(head | {"messages": items}).body, wait_seconds=wait_seconds)


def described(message_id: str, submission: Submission, position: int, message: Message) -> dict[str, Any]:
    """The provider's model of a message."""
    known_ms = due_ms(submission)
    is_known = time.time() * 1000 >= known_ms
    status = fates(submission)[0][position] if is_known else "Sent"
    sms = {"sender": message["sms"]["sender"], "text": message["sms"]["text"]}
    return {
        "messageId": message_id,
        **sms,
        "createdAt": timestamp(submission.at_ms),
        "updatedAt": timestamp(known_ms if status != "Sent" else submission.at_ms),
        "trafficAccountId": message["trafficAccountId"],
        "deliveryStatus": status,
        "description": FAILURE["description"] if status == "Failure" else None,
        "messageParts": segments(sms["text"]),
        "requestInfo": {"sms": sms},
        "reference": message.get("reference") if submission.terms.echo_reference else None,
    }


def _is_good(message: Message) -> bool:
    """Whether the provider takes this message; refuses the whole call where its shape is wrong."""
    try:
        sms = message["sms"]
        text, reference = sms["text"], message.get("reference")
        good = _destination_is_good(message["destination"]) and _sender_is_good(sms["sender"]) and not text.isspace()
        if not isinstance(message["trafficAccountId"], str) or not (reference is None or isinstance(reference, str)):
            raise RefusedError(400, "trafficAccountId and reference must be strings")
    except (AttributeError, KeyError, TypeError) as error:
        raise RefusedError(
            400, "a message is {trafficAccountId, destination, reference?, sms: {text, sender}}"
        ) from error
    return bool(good and text)
