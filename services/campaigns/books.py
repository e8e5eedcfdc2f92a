"""The books of a campaign: what its row and the senders' tally add up to."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime

from astronote.campaigns.v1 import campaigns_pb2 as pb
from astronote.sender.v1.events_pb2 import CampaignTally
from kit.rows import AnyRow

TALLIED = ("accepted", "delivered", "failed", "rejected", "expired", "unknown")


def counts(row: AnyRow) -> pb.Counts:
    """`queued` is what nothing else has claimed, so the books add up at every instant."""
    tally = row.tally or CampaignTally()
    skipped = Counter(row.skipped) + Counter(tally.skipped)
    known = {name: getattr(tally, name) for name in TALLIED}
    queued = row.targeted - sum(known.values()) - skipped.total()
    return pb.Counts(targeted=row.targeted, queued=queued, skipped=skipped, **known)


def report(row: AnyRow, responses: Mapping[str, int]) -> pb.Report:
    """Of a campaign, and of what its readers did with the links: counts by field."""
    tally = row.tally or CampaignTally()
    captured = tally.credits_captured
    # Once the hold is closed, all that was not captured went back.
    released = row.credits_held - captured if row.final else tally.credits_released
    return pb.Report(
        campaign_id=row.id,
        state=row.state,
        counts=counts(row),
        credits=pb.Credits(held=row.credits_held, captured=captured, released=released),
        final=row.final,
        start_time=row.start_time,
        finish_time=row.finish_time,
        **responses,
    )


def is_settled(row: AnyRow) -> bool:
    """Whether nothing is left to learn: every recipient of the campaign has a final state."""
    now = counts(row)
    return now.queued == now.accepted == now.unknown == 0


class Pace:
    """The rate of a campaign over its last looks."""

    def __init__(self, looks_max: int = 10) -> None:
        self._looks: list[tuple[datetime, int]] = []
        self._looks_max = looks_max

    def progress(self, report: pb.Report, now: datetime) -> pb.Progress:
        self._looks = [*self._looks[-self._looks_max :], (now, report.counts.targeted - report.counts.queued)]
        (first_time, first), (last_time, last) = self._looks[0], self._looks[-1]
        seconds = (last_time - first_time).total_seconds()
        rate = round((last - first) / seconds) if seconds else 0
        remaining = -(-report.counts.queued // rate) if rate > 0 else 0
        return pb.Progress(report=report, recipients_per_second=max(rate, 0), remaining_seconds=remaining)
