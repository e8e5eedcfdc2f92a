"""When to stop submitting to a traffic account, and how to begin again.

The breaker opens when our key is refused, and when too many of the last answers were ambiguous. While it is open
nothing leaves; then one small probe does, and its outcome decides. After an ambiguous answer submissions are small
until one is accepted.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from services.sender.limits import LONG_AGO
from services.sender.outcomes import Accepted, NotSent, Outcome, Unknown

UNKNOWN, KNOWN = "1", "0"


@dataclass(frozen=True)
class Terms:
    """`window` answers are remembered; `unknowns_max` unknown ones among them open the breaker for `open_seconds`.

    A probe that died is given up after `probe_seconds`.
    """

    window: int
    unknowns_max: int
    open_seconds: float
    probe_seconds: float


@dataclass(frozen=True)
class Route:
    """The road to the provider under one traffic account, as all senders see it."""

    id: str
    is_open: bool = False
    reason: str = ""
    #: Nothing leaves before it.
    retry_time: datetime = LONG_AGO
    #: The last answers, oldest first, a character each; empty where all were known.
    recent: str = ""
    is_cautious: bool = False
    #: Held by an operator, whatever the breaker says.
    is_drained: bool = False

    def is_clean(self) -> bool:
        """Whether an accepted submission changes nothing in it."""
        return not (self.is_open or self.recent or self.is_cautious)

    def is_small(self) -> bool:
        return self.is_open or self.is_cautious


def probing(route: Route, now: datetime, terms: Terms) -> Route:
    """The route while a submission is out: nobody else tries where the breaker is open."""
    return replace(route, retry_time=now + timedelta(seconds=terms.probe_seconds)) if route.is_open else route


def after(route: Route, outcome: Outcome, now: datetime, terms: Terms, *, is_probe: bool) -> Route:
    """The route after an answer. What left before the breaker opened does not close it."""
    if isinstance(outcome, NotSent):
        if not outcome.counts or is_probe:
            return _opened(route, outcome.reason, now, terms)
        # The provider said when: that holds for everything that goes to it.
        retry_time = max(route.retry_time, now + timedelta(seconds=outcome.retry_seconds))
        return replace(route, retry_time=retry_time) if outcome.retry_seconds else route
    if isinstance(outcome, Unknown):
        recent = (route.recent + UNKNOWN)[-terms.window :]
        shaken = replace(route, recent=recent, is_cautious=True)
        if is_probe or (not route.is_open and recent.count(UNKNOWN) >= terms.unknowns_max):
            return _opened(shaken, f"answers are ambiguous: {outcome.reason}", now, terms)
        return shaken
    is_cautious = route.is_cautious and not isinstance(outcome, Accepted)
    if is_probe:
        return Route(route.id, is_cautious=is_cautious, is_drained=route.is_drained)
    recent = (route.recent + KNOWN)[-terms.window :]
    return replace(route, recent=recent if UNKNOWN in recent else "", is_cautious=is_cautious)


def _opened(route: Route, reason: str, now: datetime, terms: Terms) -> Route:
    return replace(route, is_open=True, reason=reason, retry_time=now + timedelta(seconds=terms.open_seconds))
