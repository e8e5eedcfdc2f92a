"""Prices and books, without a database."""

from types import SimpleNamespace
from typing import Any

from astronote.campaigns.v1 import campaigns_pb2 as pb
from astronote.contacts.v1.contacts_pb2 import AudienceMember
from astronote.sender.v1.events_pb2 import CampaignTally
from services.campaigns import books, pricing
from services.campaigns.rendering import compile_text


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


def test_a_quote_counts_each_text() -> None:
    text = compile_text("Γεια {{first_name}} {{unsubscribe_link}}", "http://x.gr")
    members = [
        AudienceMember(phone="+306900000001", values=["Μαρία", "el"]),
        AudienceMember(phone="+3906123456", values=["α" * 70, ""]),
        AudienceMember(phone="+12025550123", values=["", ""]),
    ]
    estimate = pricing.Estimate()
    members.append(AudienceMember(phone="+306900000002", values=["α" * 700, ""]))
    page = pricing.recipients(text, members, ["00000000000"] * 4)
    assert [recipient.language for recipient in page] == ["el", "", ""]
    estimate.add(page, 4)
    quote = estimate.quote(balance=3)
    assert (quote.recipients, quote.credits, quote.affordable) == (3, 4, False)
    assert dict(quote.skipped) == {"text_too_long": 1}
    assert dict(quote.segments_histogram) == {1: 2, 2: 1}
    assert [(each.calling_code, each.credits) for each in quote.by_country] == [("+30", 1), ("+39", 2), ("+1", 1)]
    assert quote.sample[0].rendering.text == "Γεια Μαρία http://x.gr/u/00000000000"
