"""The states of a campaign, and which verb may move it out of which.

draft ↔ scheduled → preparing → sending → completed
                        ↕ paused ↕

A draft may be sent at once as well. Failed: from scheduled and preparing; cancelled: from preparing, sending, paused. A
recurring campaign goes from scheduled to completed: its occurrences are campaigns of their own.
"""

from astronote.campaigns.v1.campaigns_pb2 import Campaign
from services.campaigns.errors import WrongState

State = Campaign.State

ENDED = frozenset({Campaign.COMPLETED, Campaign.FAILED, Campaign.CANCELLED})
#: By verb: the states that it may find.
ALLOWED: dict[str, frozenset[State.ValueType]] = {
    "edit": frozenset({Campaign.DRAFT}),
    "delete": frozenset({Campaign.DRAFT}),
    "send": frozenset({Campaign.DRAFT}),
    "schedule": frozenset({Campaign.DRAFT}),
    "unschedule": frozenset({Campaign.SCHEDULED}),
    "pause": frozenset({Campaign.PREPARING, Campaign.SENDING}),
    "resume": frozenset({Campaign.PAUSED}),
    "cancel": frozenset({Campaign.PREPARING, Campaign.SENDING, Campaign.PAUSED}),
    "archive": ENDED,
}
#: Why a campaign pauses by itself: see `GuardStatements`.
SPIKES = ("FAILURES_SPIKED", "OPT_OUTS_SPIKED")
#: What may be written in every state, since no text depends on it.
ALWAYS_EDITABLE = frozenset({"name"})


def check(state: State.ValueType, verb: str) -> None:
    """Refuses `WrongState`."""
    if state not in ALLOWED[verb]:
        names = ",".join(sorted(State.Name(value) for value in ALLOWED[verb]))
        raise WrongState(verb=verb, state=State.Name(state), allowed=names)
