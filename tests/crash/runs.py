"""What is tried: an injury × what the provider does with a submission × how it reports, and what may follow from it."""

import itertools
import zlib
from dataclasses import dataclass
from typing import Any

CAMPAIGN_POINTS = (
    *("prepare.page", "prepare.frozen", "prepare.held"),
    *("dispatch.claimed", "dispatch.published"),
    *("sender.taken", "sender.claimed", "sender.intent", "sender.answered", "sender.recorded"),
    *("settle.taken", "settle.answered"),
    *("report.received", "report.stored", "report.applied"),
    "close.closed",
    "relay.published",
)
SINGLE_POINTS = ("single.kept", "single.held", "single.paid", "single.taken", "single.published", "single.closed")
POINTS = (*CAMPAIGN_POINTS, *SINGLE_POINTS)
WAYS = ("kill", "freeze", "error")
# From outside: the broker, its disk, the database, the wallet, and every batch handed to the senders thrice at once.
# "The wallet's answer is lost" is the error at prepare.held, settle.answered and close.closed: it did, we never heard.
OUTSIDE = ("none", "nats kill", "nats wipe", "postgres kill", "wallet kill", "work doubled")

# Half of the submissions go well, so that a run has both and the road goes on.
OUTCOMES: dict[str, dict[str, float]] = {
    "ok": {},
    "accept and drop": {"acceptAndDrop": 1},
    "accept and 500": {"acceptAnd500": 1},
    "slow": {"slow": 1},
    "429": {"tooMany": 1},
    "503": {"unavailable": 1},
    "short answer": {"shortAnswer": 1},
    "garbage": {"garbage": 1},
    "item refused": {"refuseItem": 1},
}
# The wallet pays for half of the texts, and the provider takes them all.
TOO_DEAR = "too dear"
# `late` is past the lease and past every freeze: a prompt report would heal what a take-over broke.
REPORTS: dict[str, dict[str, float]] = {
    "prompt": {"delayMs": 0},
    "late": {"delayMs": 7000},
    "doubled": {"delayMs": 300, "doubled": 1},
    "shuffled": {"delayMs": 300, "doubled": 0.5, "shuffled": 1},
    # Without our reference: only the link in the text says whose it is, when it is looked up.
    "nameless": {"delayMs": 300},
    "silent": {"delivered": 0, "failed": 0, "silent": 1},
}
# A single text has no link of ours: what is reported without our reference proves nothing.
SINGLE_REPORTS = tuple(way for way in REPORTS if way != "nameless")
DEFINITE = ("ok", "429", "item refused", TOO_DEAR)
# In these no sender dies, and none loses the answer of the provider.
HARMLESS = (
    *("none", "rolling", "nats kill", "nats wipe", "wallet kill", "work doubled"),
    *(f"{point} {way}" for point in POINTS if point.split(".")[0] in ("prepare", "dispatch", "close") for way in WAYS),
    *(f"{point} error" for point in POINTS if point not in ("sender.intent", "sender.answered")),
)


@dataclass(frozen=True)
class Run:
    injury: str
    outcome: str = "ok"
    reports: str = "late"
    #: The pass of the crash point that fires.
    nth: int = 1
    #: Single texts, and no campaign.
    singles: bool = False

    @property
    def row(self) -> str:
        return f"singles, {self.injury}" if self.singles else self.injury

    @property
    def name(self) -> str:
        return f"{self.row} / {self.outcome} / {self.reports}"

    @property
    def plan(self) -> str:
        """What stands in the crash file; empty where the injury comes from outside."""
        point, _, way = self.injury.partition(" ")
        return f"{point} {way} {self.nth}" if point in POINTS else ""

    @property
    def behaviour(self) -> dict[str, Any]:
        return {
            "seed": zlib.crc32(self.name.encode()),
            "latencyMs": 600 if self.injury == "work doubled" else 150,
            "slowMs": 2500,
            "outcomes": {"ok": 1, **OUTCOMES.get(self.outcome, {})},
            "reports": REPORTS[self.reports],
            "echoReference": self.reports != "nameless",
        }

    @property
    def may_leave_unknowns(self) -> bool:
        """Whether something happened after which nobody can know what the provider has."""
        return self.outcome not in DEFINITE or self.injury not in HARMLESS

    @property
    def may_reject(self) -> bool:
        """A batch that was refused five times, or an item of it, or what can't be paid for."""
        return self.outcome in ("429", "item refused", TOO_DEAR)

    @property
    def reports_all(self) -> bool:
        return self.reports != "silent"


INJURIES = (*(f"{point} {way}" for point in CAMPAIGN_POINTS for way in WAYS), *OUTSIDE)
# What a campaign meets on the same road, single texts meet less often.
SINGLE_OUTCOMES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("single.kept", "single.held", "single.paid"), ("ok", TOO_DEAR)),
    **dict.fromkeys(("single.taken", "single.published", "single.closed"), ("accept and drop",)),
    **dict.fromkeys(("sender.intent", "sender.answered", "sender.recorded"), ("ok", "item refused")),
    **dict.fromkeys(("settle.taken", "settle.answered"), ("ok",)),
}
SINGLE_INJURIES = {
    **{f"{point} {way}": outcomes for point, outcomes in SINGLE_OUTCOMES.items() for way in WAYS},
    **dict.fromkeys(OUTSIDE, ("ok",)),
    "none": ("ok", "accept and drop", "429", "item refused", TOO_DEAR),
}


def matrix() -> list[Run]:
    """The senders' points meet every outcome, the rest meets three; ways of reporting take turns over all of it."""
    runs = []
    for row, injury in enumerate(INJURIES):
        outcomes = list(OUTCOMES) if injury.startswith("sender") or " " not in injury else ["ok", "slow", "429"]
        ways = _ways(injury)
        runs += [Run(injury, outcome, ways[(row + column) % len(ways)]) for column, outcome in enumerate(outcomes)]
    singles = [(injury, outcome) for injury, outcomes in SINGLE_INJURIES.items() for outcome in outcomes]
    turns = itertools.cycle(SINGLE_REPORTS)
    return runs + [single(injury, outcome, next(turns)) for injury, outcome in singles]


def product() -> list[Run]:
    """Every injury × every outcome × every way of reporting: a night."""
    return [
        *(Run(*each) for injury in INJURIES for each in itertools.product([injury], OUTCOMES, _ways(injury))),
        *(single(*each) for each in itertools.product(SINGLE_INJURIES, [*OUTCOMES, TOO_DEAR], SINGLE_REPORTS)),
    ]


def single(injury: str, outcome: str = "ok", reports: str = "late") -> Run:
    """The first to come goes alone; those who came meanwhile are the second to pass."""
    return Run(injury, outcome, reports, nth=2, singles=True)


def _ways(injury: str) -> list[str]:
    """Where nothing is reported, the points of the reports are never passed."""
    return [way for way in REPORTS if way != "silent" or not injury.startswith("report")]


QUICK = (
    Run("sender.answered kill"),
    Run("sender.answered freeze"),
    Run("sender.claimed freeze", "accept and drop"),
    Run("sender.intent error", "short answer", "nameless"),
    Run("settle.answered kill", "item refused", "prompt"),
    Run("settle.taken error", reports="prompt"),
    Run("report.applied error", reports="shuffled"),
    Run("prepare.page kill", reports="prompt"),
    Run("nats wipe", "503", "prompt"),
    Run("work doubled", reports="prompt"),
    single("single.paid error", reports="prompt"),
)
