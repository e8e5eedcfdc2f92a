"""Faults on demand: what the stand-in does with a submission, and which delivery reports follow."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

Weight = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class _Part(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True, allow_inf_nan=False)


class Outcomes(_Part):
    """Weights of what happens to a submission."""

    ok: Weight = 1
    accept_and_drop: Weight = 0
    """Accepts everything, then closes the connection without an answer."""
    accept_and500: Weight = Field(default=0, alias="acceptAnd500")
    slow: Weight = 0
    """Accepts everything and answers after `slowMs`."""
    too_many: Weight = 0
    """429, nothing accepted."""
    unavailable: Weight = 0
    """503, nothing accepted (which the caller can't know)."""
    short_answer: Weight = 0
    """Accepts everything and answers with one message fewer."""
    garbage: Weight = 0
    """Accepts everything and answers with something that is no JSON."""
    refuse_item: Weight = 0
    """One item isn't accepted and comes back without messageId."""

    @model_validator(mode="after")
    def _some_weight(self) -> "Outcomes":
        if not any(self.model_dump().values()):
            raise ValueError("outcomes need a weight above 0")
        return self


class Reports(_Part):
    """Delivered, failed and silent are weights; doubled and shuffled are shares of the reports, 0 to 1."""

    delay_ms: int = Field(default=200, ge=0)
    delivered: Weight = 0.95
    failed: Weight = 0.05
    silent: Weight = 0
    """No report ever comes, and the message stays `Sent`."""
    doubled: Share = 0
    """Posted twice."""
    shuffled: Share = 0
    """Held back and mixed with those of other submissions."""

    @model_validator(mode="after")
    def _some_weight(self) -> "Reports":
        if not self.delivered + self.failed + self.silent:
            raise ValueError("reports need a weight above 0")
        return self


class Behaviour(_Part):
    """Everything that `POST /_stand-in/behaviour` can change."""

    latency_ms: int = Field(default=0, ge=0)
    """Between the acceptance and the answer."""
    slow_ms: int = Field(default=30_000, ge=0)
    max_per_second: int = Field(default=0, ge=0)
    """Submissions (not messages) a second, past which 429 is answered; 0: no limit."""
    outcomes: Outcomes = Outcomes()
    reports: Reports = Reports()
    echo_reference: bool = True
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Terms:
    """What was the rule for reports when a submission was accepted; kept with it, so that later changes spare it."""

    delay_ms: int
    delivered: float
    failed: float
    silent: float
    doubled: float
    shuffled: float
    echo_reference: bool
    seed: int


class Conduct:
    """The behaviour in force, its dice and its rate limit."""

    def __init__(self, changes: Mapping[str, Any] | None = None) -> None:
        self._start(Behaviour())
        self.change(changes or {})

    def change(self, changes: Mapping[str, Any]) -> None:
        """Merges `changes` (field by field, in `outcomes` and `reports` too) into the behaviour.

        A seed, named anew, starts the dice again. Raises pydantic's ValidationError for unknown or bad fields.
        """
        merged = self.settings.model_dump(by_alias=True)
        for name, value in changes.items():
            nested = isinstance(value, Mapping) and isinstance(merged.get(name), dict)
            merged[name] = {**merged[name], **value} if nested else value
        settings = Behaviour.model_validate(merged)
        if "seed" in changes:
            self._start(settings)
        self._adopt(settings)

    def reset(self) -> None:
        """The default behaviour, from its first throw of the dice."""
        self._start(Behaviour())

    def outcome(self, now_seconds: float) -> str:
        """The name of an `Outcomes` field: what happens to a submission that came now."""
        if not self._admitted(now_seconds):
            return "too_many"
        if self._certain is not None:
            return self._certain
        return self._random.choices(self._names, self._weights)[0]

    def pick(self, count: int) -> int:
        """A position among `count` items, for the outcomes that single one out."""
        return self._random.randrange(count)

    def _start(self, settings: Behaviour) -> None:
        self._random = random.Random(settings.seed)  # noqa: S311 - runs must repeat
        self._second, self._taken = 0, 0
        self._adopt(settings)

    def _adopt(self, settings: Behaviour) -> None:
        self.settings = settings
        weights = {name: weight for name, weight in settings.outcomes.model_dump().items() if weight}
        self._names, self._weights = list(weights), list(weights.values())
        self._certain = self._names[0] if len(weights) == 1 else None
        self.terms = Terms(**settings.reports.model_dump(), echo_reference=settings.echo_reference, seed=settings.seed)

    def _admitted(self, now_seconds: float) -> bool:
        if not self.settings.max_per_second:
            return True
        if int(now_seconds) != self._second:
            self._second, self._taken = int(now_seconds), 0
        self._taken += 1
        return self._taken <= self.settings.max_per_second
