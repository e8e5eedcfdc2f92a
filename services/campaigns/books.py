"""The books of a campaign: what its row and the senders' tally add up to."""

import re
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from astronote.campaigns.v1 import campaigns_pb2 as pb
from astronote.campaigns.v1.links_pb2 import LinkCounts
from astronote.sender.v1.events_pb2 import CampaignTally
from kit.rows import AnyRow
from services.campaigns import experiments
from services.campaigns.errors import EventIdInvalid
from services.campaigns.rendering import tracked_links

RECENT_MILLISECONDS = 60_000
TALLIED = ("accepted", "delivered", "failed", "rejected", "expired", "unknown")


def counts(row: AnyRow) -> pb.Counts:
    """`queued` is what nothing else has claimed, so the books add up at every instant."""
    tally = row.tally or CampaignTally()
    skipped = Counter(row.skipped) + Counter(tally.skipped)
    known = {name: getattr(tally, name) for name in TALLIED}
    queued = row.targeted - sum(known.values()) - skipped.total()
    return pb.Counts(targeted=row.targeted, queued=queued, skipped=skipped, **known)


def report(row: AnyRow, responses: Mapping[str, int]) -> pb.Report:
    """Of a campaign, and of what its readers did with the links, by the names of `tables.RESPONSES`."""
    tally = row.tally or CampaignTally()
    captured = tally.credits_captured
    # Once the hold is closed, all that was not captured went back.
    released = row.credits_held - captured if row.final else tally.credits_released
    shown = pb.Report(
        campaign_id=row.id,
        state=row.state,
        counts=counts(row),
        credits=pb.Credits(held=row.credits_held, captured=captured, released=released),
        final=row.final,
        start_time=row.start_time,
        finish_time=row.finish_time,
    )
    for name, count in responses.items():
        setattr(shown, name, count)
    return shown


def activity(tally: CampaignTally) -> Counter[str]:
    """What a tally adds up to in the history of its campaign, by the names of `tables.ACTIVITY`."""
    submitted = tally.accepted + tally.delivered + tally.failed + tally.expired + tally.unknown
    failed = tally.failed + tally.rejected + tally.expired
    return Counter(submitted=submitted, delivered=tally.delivered, failed=failed, credits=tally.credits_captured)


def links(row: AnyRow, counted: Sequence[AnyRow]) -> list[LinkCounts]:
    """The links of a campaign's text, also those that nobody followed."""
    if not row.track_links:
        return []
    by_place = {(each.variant, each.link): each for each in counted}
    texts, shown = [row.text, *(row.experiment.texts if row.experiment else ())], []
    for place, text in enumerate(texts):
        for number, url in enumerate(tracked_links(text), 1):
            link = LinkCounts(number=number, url=url, variant=experiments.NAMES[place])
            if found := by_place.get((place, number)):
                link.clicks, link.clickers, link.machine_clicks = found.clicks, found.clickers, found.machine_clicks
            shown.append(link)
    return shown


def is_settled(row: AnyRow) -> bool:
    """Whether nothing is left to learn: every recipient of the campaign has a final state."""
    now = counts(row)
    return now.queued == now.accepted == now.unknown == 0


@dataclass(frozen=True)
class Look:
    """A campaign as it stood at a time, in milliseconds since 1970: how many were submitted, and what was spent.
    `digest` tells one state of its report from another.
    """

    time: int
    submitted: int
    credits: int
    digest: int

    def text(self) -> str:
        return f"{self.time}-{self.submitted}-{self.credits}-{self.digest}"

    @classmethod
    def of(cls, report: pb.Report, now: datetime) -> "Look":
        counts = report.counts
        digest = zlib.crc32(report.SerializeToString(deterministic=True))
        submitted = counts.targeted - counts.queued - sum(counts.skipped.values())
        return cls(int(now.timestamp() * 1000), submitted, report.credits.captured, digest)

    @classmethod
    def parsed(cls, text: str) -> "Look":
        """Refuses `EventIdInvalid`."""
        if not re.fullmatch(r"\d{1,15}(-\d{1,10}){3}", text, re.ASCII):
            raise EventIdInvalid(field="last_event_id")
        time, submitted, credits, digest = map(int, text.split("-"))
        return cls(time, submitted, credits, digest)


class Pace:
    """The rate of a campaign over its last looks; `last_event_id` names one that was taken before."""

    def __init__(self, last_event_id: str = "", looks_max: int = 10) -> None:
        self._looks = [Look.parsed(last_event_id)] if last_event_id else []
        self._looks_max = looks_max

    def progress(self, report: pb.Report, now: datetime) -> pb.Progress | None:
        """None where the report is what the look before has shown, unless it is the last there will be."""
        look = Look.of(report, now)
        is_known = bool(self._looks) and self._looks[-1].digest == look.digest
        recent = [each for each in self._looks[-self._looks_max :] if look.time - each.time < RECENT_MILLISECONDS]
        self._looks = [*recent, look]
        if is_known and not report.final:
            return None
        first = self._looks[0]
        seconds = (look.time - first.time) / 1000
        rate, spent = (look.submitted - first.submitted, look.credits - first.credits) if seconds > 0 else (0, 0)
        rate = max(round(rate / seconds), 0) if rate else 0
        remaining = -(-report.counts.queued // rate) if rate else 0
        spend = max(round(spent * 60 / seconds), 0) if spent else 0
        return pb.Progress(
            report=report,
            recipients_per_second=rate,
            remaining_seconds=remaining,
            credits_per_minute=spend,
            event_id=look.text(),
        )
