"""Books, without a database."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from astronote.campaigns.v1 import campaigns_pb2 as pb
from astronote.sender.v1.events_pb2 import CampaignTally
from services.campaigns import books
from services.campaigns.errors import EventIdInvalid


def row(**values: Any) -> Any:
    usual = {"id": "c", "state": pb.Campaign.SENDING, "targeted": 10, "credits_held": 20, "final": False}
    usual |= {"skipped": {}, "tally": None, "start_time": None, "finish_time": None}
    return SimpleNamespace(**{**usual, **values})


def test_the_books_add_up_at_every_instant() -> None:
    tally = CampaignTally(accepted=1, delivered=2, failed=1, rejected=1, unknown=1, skipped={"opted_out": 1})
    counts = books.counts(row(tally=tally, skipped={"cancelled": 2, "opted_out": 1}))
    assert counts.queued == 0
    assert dict(counts.skipped) == {"cancelled": 2, "opted_out": 2}
    assert books.counts(row()).queued == 10


def test_a_final_report_releases_all_that_was_not_captured() -> None:
    tally = CampaignTally(delivered=9, credits_captured=18)
    report = books.report(row(tally=tally, final=True), {"views": 3, "viewers": 2})
    assert report.credits == pb.Credits(held=20, captured=18, released=2)
    assert (report.views, report.viewers, report.redemptions) == (3, 2, 0)


def test_a_watch_that_broke_off_goes_on_at_its_rate_with_what_has_changed() -> None:
    start, books_before = datetime(2026, 1, 1, tzinfo=UTC), CampaignTally(accepted=20, credits_captured=40)
    before = books.report(row(targeted=100, tally=books_before), {})
    pace = books.Pace()
    first = pace.progress(before, start)
    assert first is not None
    assert (first.recipients_per_second, first.remaining_seconds) == (0, 0)
    assert pace.progress(before, start + timedelta(seconds=1)) is None
    again = books.Pace(first.event_id)
    assert again.progress(before, start + timedelta(seconds=1)) is None
    after = books.report(row(targeted=100, tally=CampaignTally(accepted=40, credits_captured=60)), {})
    look = again.progress(after, start + timedelta(seconds=2))
    assert look is not None
    assert (look.recipients_per_second, look.remaining_seconds, look.credits_per_minute) == (10, 6, 600)
    # What is long ago says nothing of the last seconds, and closed books are shown to whoever asks.
    late = books.Pace(first.event_id).progress(after, start + timedelta(hours=1))
    assert late is not None
    assert late.recipients_per_second == 0
    closed = books.report(row(final=True), {})
    shown = books.Pace().progress(closed, start)
    assert shown is not None
    assert books.Pace(shown.event_id).progress(closed, start) is not None


@pytest.mark.parametrize("text", ["x", "1-2-3", "1-2-3-4-5", "-1-2-3-4", "١-1-1-1", "1-2-3-4\n", "9" * 100])
def test_an_event_id_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(EventIdInvalid):
        books.Pace(text)
