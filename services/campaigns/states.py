"""The states of a campaign and what moves it between them.

draft → preparing → sending → completed
          ↕ paused ↕             failed (from preparing)   cancelled (from preparing, sending, paused)
"""

from astronote.campaigns.v1.campaigns_pb2 import Campaign
from services.campaigns.errors import WrongState

State = Campaign.State

EDITABLE = frozenset({Campaign.DRAFT})
PAUSABLE = frozenset({Campaign.PREPARING, Campaign.SENDING})
RESUMABLE = frozenset({Campaign.PAUSED})
CANCELLABLE = frozenset({Campaign.PREPARING, Campaign.SENDING, Campaign.PAUSED})
ENDED = frozenset({Campaign.COMPLETED, Campaign.FAILED, Campaign.CANCELLED})


def check(state: State.ValueType, allowed: frozenset[State.ValueType]) -> None:
    """Refuses `WrongState`."""
    if state not in allowed:
        names = ",".join(sorted(State.Name(value) for value in allowed))
        raise WrongState(state=State.Name(state), allowed=names)
