"""The chain of decisions, told from what each of them left behind; without a database."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from astronote.campaigns.v1.campaigns_pb2 import Campaign
from astronote.campaigns.v1.reports_pb2 import Step
from astronote.contacts.v1.audience_pb2 import Audience
from astronote.contacts.v1.consents_pb2 import Consent
from astronote.sender.v1.batches_pb2 import BatchRecipient
from astronote.sender.v1.sender_pb2 import Message, Outcome
from services.campaigns import explaining

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
TEXT = BatchRecipient(phone="+306911111111", segments=2, credits=2)


def campaign(**values: Any) -> Any:
    usual = {"id": "c", "state": Campaign.SENDING, "failure": "", "skipped": {}, "frozen": True, "start_time": NOW}
    usual |= {"audience": Audience(all=True), "finish_time": NOW, "experiment": None, "quiet_start": ""}
    return SimpleNamespace(**{**usual, **values})


def batch(state: str, **values: Any) -> Any:
    return SimpleNamespace(**{"state": state, "due_time": None, "time_zone": "", "publish_time": NOW, **values})


def told(**facts: Any) -> dict[str, tuple[str, str]]:
    usual: dict[str, Any] = {"campaign": campaign(), "batch": batch("DONE"), "recipient": TEXT, "outcome": None}
    usual |= {"consents": [], "response": None, "contact_id": "", "now": NOW}
    found = explaining.steps(explaining.Facts(**usual | facts))
    return {Step.Kind.Name(each.kind): (Step.Verdict.Name(each.verdict), each.reason) for each in found}


@pytest.mark.parametrize(
    ("facts", "timing"),
    [
        ({"batch": batch("READY", due_time=NOW + timedelta(hours=1))}, ("PENDING", "not_due")),
        ({"batch": batch("READY"), "campaign": campaign(state=Campaign.PAUSED)}, ("PENDING", "paused")),
        ({"batch": batch("PUBLISHED")}, ("PASSED", "")),
        ({"batch": batch("CANCELLED"), "campaign": campaign(state=Campaign.CANCELLED)}, ("STOPPED", "cancelled")),
        (
            {"batch": batch("CANCELLED"), "campaign": campaign(skipped={"offer_expired": 1})},
            ("STOPPED", "offer_expired"),
        ),
        (
            {"batch": batch("CANCELLED"), "campaign": campaign(state=Campaign.FAILED, failure="NO_CREDITS")},
            ("STOPPED", "no_credits"),
        ),
    ],
)
def test_when_a_text_may_leave(facts: dict[str, Any], timing: tuple[str, str]) -> None:
    found = told(**facts)
    assert found["TIMING"] == timing
    assert ("MONEY" in found) == (timing[0] == "STOPPED")


@pytest.mark.parametrize(
    ("state", "answer", "error", "last"),
    [
        (Message.SKIPPED, "", "opted_out", {"SUPPRESSION": ("STOPPED", "opted_out"), "MONEY": ("NOTED", "released")}),
        (Message.SKIPPED, "", "frequency_cap", {"CAP": ("STOPPED", "frequency_cap"), "MONEY": ("NOTED", "released")}),
        (Message.REJECTED, "ACCEPTED", "", {"PROVIDER": ("STOPPED", "rejected"), "MONEY": ("NOTED", "released")}),
        (Message.UNKNOWN, "UNKNOWN", "", {"PROVIDER": ("PENDING", "unknown"), "MONEY": ("PENDING", "held")}),
        (Message.EXPIRED, "UNKNOWN", "", {"REPORT": ("STOPPED", "expired"), "MONEY": ("NOTED", "released")}),
        (Message.EXPIRED, "ACCEPTED", "", {"REPORT": ("STOPPED", "expired"), "MONEY": ("NOTED", "captured")}),
        (Message.FAILED, "ACCEPTED", "", {"REPORT": ("STOPPED", "failed"), "MONEY": ("NOTED", "captured")}),
        (Message.DELIVERED, "ACCEPTED", "", {"REPORT": ("PASSED", "delivered"), "MONEY": ("NOTED", "captured")}),
    ],
)
def test_what_became_of_it_and_of_its_credits(state: Any, answer: str, error: str, last: dict[str, Any]) -> None:
    found = told(outcome=Outcome(message=Message(state=state, error=error), credits=2, answer=answer))
    assert {name: found[name] for name in last} == last
    assert ("REPORT" in found) == ("REPORT" in last)


def consent(event: Consent.Event.ValueType, hours: int) -> Consent:
    return Consent(event=event, create_time=NOW + timedelta(hours=hours), source="till")


def test_consent_is_what_was_written_until_the_submission() -> None:
    outcome = Outcome(message=Message(state=Message.DELIVERED), attempt_time=NOW)
    said = [consent(Consent.GRANTED, -2), consent(Consent.REQUESTED, -1), consent(Consent.WITHDRAWN, 1)]
    assert told(consents=said, outcome=outcome)["CONSENT"] == ("PASSED", "granted")
    assert told(consents=said, now=NOW + timedelta(hours=2))["CONSENT"] == ("STOPPED", "withdrawn")
    assert told(consents=said[1:2])["CONSENT"] == ("NOTED", "nothing_on_record")
    assert told(consents=None)["CONSENT"] == ("NOTED", "contact_gone")
