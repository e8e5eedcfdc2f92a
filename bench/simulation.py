"""What larger meshes would carry: the batches of campaigns on their way through queues, each of which takes the time
that a run has measured.

A process of ours works on one core, PostgreSQL on as many as it is given. What a queue carries follows from the CPU
that a recipient costs it; how that divides over the steps of a batch is taken from the profile (docs/performance.md)
and changes only how long a batch is on its way.
"""

import heapq
import itertools
from collections.abc import Mapping
from dataclasses import dataclass

BATCH_SIZE = 5_000
# `BATCHES_AHEAD` of campaigns: so many of one campaign are under way at once.
AHEAD = 4
# Beyond what the stand-in takes of a core: a provider is elsewhere.
PROVIDER, PROVIDER_SECONDS = "mitto", 0.1
MACHINE = "the machine"
MESHES: Mapping[str, Mapping[str, int]] = {
    "this machine's two cores, the provider's stand-in with them": {MACHINE: 2},
    "a core for each process, PostgreSQL 4": {"postgres": 4},
    "2 senders, PostgreSQL 8": {"postgres": 8, "sender": 2},
    "4 senders, 2 of campaigns, PostgreSQL 8": {"postgres": 8, "sender": 4, "campaigns": 2},
    "8 senders, 4 of campaigns, PostgreSQL 16": {"postgres": 16, "sender": 8, "campaigns": 4},
}

#: A process, and which share of its cost the step is.
Step = tuple[str, float]
# Freezing 100,000 (stream, render, count, store) takes 1.1 s.
FROZEN: tuple[Step, ...] = (("contacts", 0.15), ("campaigns", 0.45), ("postgres", 0.1))
SUBMITTED: tuple[Step, ...] = (
    *(("campaigns", 0.3), ("nats", 0.5), ("sender", 0.25), ("contacts", 0.35), ("postgres", 0.1), ("sender", 0.25)),
    *((PROVIDER, 1.0), ("sender", 0.2), ("postgres", 0.4), ("wallet", 1.0), ("accounts", 1.0)),
)
REPORTED: tuple[Step, ...] = (
    *(("gateway", 1.0), ("sender", 0.3), ("postgres", 0.3), ("nats", 0.5)),
    *(("campaigns", 0.25), ("contacts", 0.5), ("postgres", 0.1)),
)


class Cores:
    """So many of them behind one queue, first come first served."""

    def __init__(self, count: int) -> None:
        self.busy_seconds, self._free_times = 0.0, [0.0] * count

    def end(self, now: float, seconds: float) -> float:
        """When work is done that comes now; to be asked in the order of time."""
        end = max(now, self._free_times[0]) + seconds
        heapq.heapreplace(self._free_times, end)
        self.busy_seconds += seconds
        return end

    def load(self, seconds: float, before_seconds: float) -> float:
        """How full it was in so many seconds, before which it was busy for so many."""
        return (self.busy_seconds - before_seconds) / seconds / len(self._free_times)


@dataclass
class Campaign:
    """How many of its batches have still to begin each part of the road."""

    to_freeze: int
    to_submit: int
    ahead: int

    def after(self, road: tuple[Step, ...]) -> list[tuple[Step, ...]]:
        """What begins when a batch has come to the end of that part: it is frozen batch by batch, and only then paid
        for and sent.
        """
        if road is FROZEN:
            self.to_freeze -= 1
            return [FROZEN] if self.to_freeze else self._submitted(self.ahead)
        return [REPORTED, *self._submitted(1)] if road is SUBMITTED else []

    def _submitted(self, most: int) -> list[tuple[Step, ...]]:
        count = min(most, self.to_submit)
        self.to_submit -= count
        return [SUBMITTED] * count


@dataclass(frozen=True)
class Outcome:
    """From `:send` until the provider has accepted everybody; how full the fullest queue was meanwhile."""

    recipients_per_second: float
    fullest: str
    load: float


def simulate(
    costs: Mapping[str, float], cores: Mapping[str, int], recipients: int, campaigns: int = 1, ahead: int = AHEAD
) -> Outcome:
    """`costs`: CPU in milliseconds of a thousand recipients, by process. A process that `cores` does not name has one;
    what is named `MACHINE` is one queue for all of them, and has no provider elsewhere.
    """
    machine = Cores(cores[MACHINE]) if MACHINE in cores else None
    own = {name: Cores(cores.get(name, 1)) for name, _ in (*FROZEN, *SUBMITTED, *REPORTED) if name != PROVIDER}
    queues = {MACHINE: machine} if machine else own
    batches, order = recipients // BATCH_SIZE // campaigns, itertools.count()
    events = [(0.0, next(order), Campaign(batches, batches, ahead), FROZEN, 0) for _ in range(campaigns)]
    first, last, frozen_seconds = 0.0, 0.0, dict.fromkeys(queues, 0.0)
    while events:
        now, _, campaign, road, at = heapq.heappop(events)
        if at < len(road):
            name, share = road[at]
            queue = machine or queues.get(name)
            seconds = costs.get(name, 0.0) * share * BATCH_SIZE / 1e6
            end = queue.end(now, seconds) if queue else now + PROVIDER_SECONDS
            heapq.heappush(events, (end, next(order), campaign, road, at + 1))
            continue
        last = now if road is SUBMITTED else last
        for following in campaign.after(road):
            if following is SUBMITTED and not first:
                first, frozen_seconds = now, {name: queue.busy_seconds for name, queue in queues.items()}
            heapq.heappush(events, (now, next(order), campaign, following, 0))
    loads = {name: queue.load(last - first, frozen_seconds[name]) for name, queue in queues.items()}
    fullest = max(loads, key=lambda name: loads[name])
    return Outcome(recipients / last, fullest, loads[fullest])
