"""What an answer of the provider means: one table, and the rows and sums that follow from it.

Only two things are certain: the provider has answered for every message, or no byte of the request has left. All the
rest is *unknown*, and what is unknown is never sent again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from astronote.sender.v1.batches_pb2 import BatchRecipient
from astronote.sender.v1.sender_pb2 import Message

State = Message.State


@dataclass(frozen=True)
class Accepted:
    """The provider has answered for each message, in order: its id, or none where it refused that one."""

    ids: Sequence[str | None]


@dataclass(frozen=True)
class Refused:
    """The provider refused all of them; trying again would not help."""

    reason: str


@dataclass(frozen=True)
class NotSent:
    """The provider is known not to have them: they may be tried again, after so many seconds if it said so.

    `counts` is false where the fault is ours (a wrong key) and not to be held against the messages.
    """

    reason: str
    retry_seconds: float = 0
    counts: bool = True


@dataclass(frozen=True)
class Unknown:
    """The provider may or may not have them."""

    reason: str


Outcome = Accepted | Refused | NotSent | Unknown


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one recipient of an attempt."""

    index: int
    recipient: BatchRecipient
    state: State.ValueType
    provider_message_id: str | None = None
    error: str = ""


def results(
    outcome: Accepted | Refused | NotSent | Unknown, submitted: Sequence[tuple[int, BatchRecipient]]
) -> list[Result]:
    """A result for each recipient that was submitted; what was never taken counts as rejected."""
    if isinstance(outcome, Accepted):
        return [
            Result(index, recipient, Message.ACCEPTED, id)
            if id
            else Result(index, recipient, Message.REJECTED, None, "refused by the provider")
            for (index, recipient), id in zip(submitted, outcome.ids, strict=True)
        ]
    state = Message.UNKNOWN if isinstance(outcome, Unknown) else Message.REJECTED
    return [Result(index, recipient, state, None, outcome.reason) for index, recipient in submitted]


def skipped(recipients: Sequence[tuple[int, BatchRecipient]], reason: str) -> list[Result]:
    return [Result(index, recipient, Message.SKIPPED, None, reason) for index, recipient in recipients]


CHARGED = frozenset({Message.ACCEPTED})
RELEASED = frozenset({Message.REJECTED, Message.SKIPPED})
COLUMNS = {
    Message.ACCEPTED: "accepted",
    Message.DELIVERED: "delivered",
    Message.FAILED: "failed",
    Message.REJECTED: "rejected",
    Message.EXPIRED: "expired",
    Message.UNKNOWN: "unknown",
}


@dataclass
class Change:
    """What a step adds to a campaign's tally; negative where messages leave a state."""

    counts: dict[str, int] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)
    captured: int = 0
    released: int = 0

    def add(self, column: str, count: int) -> None:
        self.counts[column] = self.counts.get(column, 0) + count


def change(results: Sequence[Result]) -> Change:
    """Accepted is captured, rejected and skipped is released; what is unknown stays held."""
    total = Change()
    for result in results:
        if result.state == Message.SKIPPED:
            total.skipped[result.error] = total.skipped.get(result.error, 0) + 1
        else:
            total.add(COLUMNS[result.state], 1)
        if result.state in CHARGED:
            total.captured += result.recipient.credits
        elif result.state in RELEASED:
            total.released += result.recipient.credits
    return total
