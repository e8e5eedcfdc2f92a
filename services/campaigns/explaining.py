"""Why somebody did or did not get a text: the decisions on its way, told from what every one of them left behind."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp

from astronote.campaigns.v1.campaigns_pb2 import Campaign
from astronote.campaigns.v1.reports_pb2 import Step
from astronote.contacts.v1.consents_pb2 import Consent
from astronote.sender.v1.batches_pb2 import BatchRecipient
from astronote.sender.v1.sender_pb2 import Message, Outcome
from kit.rows import AnyRow
from services.campaigns import claims, experiments

# The step at which a text is skipped for a reason; every other reason is the campaign's own.
STOPS = {"opted_out": Step.SUPPRESSION, "frequency_cap": Step.CAP}
PAID = frozenset({Message.ACCEPTED, Message.DELIVERED, Message.FAILED, Message.EXPIRED})


@dataclass(frozen=True)
class Facts:
    """What is known of one person and one campaign. `batch` and `recipient` are none where no text was made, `outcome`
    where none was submitted or skipped by the senders, `consents` where the contact is gone, `response` where nobody
    opened a link.
    """

    campaign: AnyRow
    batch: AnyRow | None
    recipient: BatchRecipient | None
    outcome: Outcome | None
    consents: Sequence[Consent] | None
    response: AnyRow | None
    contact_id: str
    now: datetime


def steps(facts: Facts) -> Iterator[Step]:
    """In the order in which they were decided, as far as they were."""
    yield _audience(facts)
    yield _consent(facts)
    yield from _experiment(facts)
    if facts.batch is None or facts.recipient is None:
        return
    yield _price(facts.recipient)
    timing = _timing(facts.campaign, facts.batch, facts)
    yield timing
    if facts.outcome is not None:
        yield from _submission(facts.outcome)
        yield _money(facts.outcome)
    elif timing.verdict == Step.STOPPED:
        yield _step(Step.MONEY, Step.NOTED, "released", credits=facts.recipient.credits)
    if facts.response is not None:
        yield _response(facts.response)


def _audience(facts: Facts) -> Step:
    campaign, audience = facts.campaign, facts.campaign.audience
    selection = audience.WhichOneof("selection") or "list_ids"
    if facts.batch is not None:
        return _step(Step.AUDIENCE, Step.PASSED, "", campaign.start_time, selection=selection)
    if not campaign.frozen:
        return _step(Step.AUDIENCE, Step.PENDING, "not_frozen", selection=selection)
    skipped = {f"skipped_{reason}": count for reason, count in campaign.skipped.items()}
    return _step(Step.AUDIENCE, Step.STOPPED, "no_text_was_made", campaign.start_time, selection=selection, **skipped)


def _consent(facts: Facts) -> Step:
    """By what was written down until the submission; what came later is for the next text."""
    if facts.consents is None:
        return _step(Step.CONSENT, Step.NOTED, "contact_gone")
    until = facts.now
    if facts.outcome is not None and facts.outcome.HasField("attempt_time"):
        until = facts.outcome.attempt_time.ToDatetime(tzinfo=UTC)
    before = [each for each in facts.consents if each.create_time.ToDatetime(tzinfo=UTC) <= until]
    last = next((each for each in reversed(before) if each.event != Consent.REQUESTED), None)
    if last is None:
        return _step(Step.CONSENT, Step.NOTED, "nothing_on_record")
    verdict = Step.PASSED if last.event == Consent.GRANTED else Step.STOPPED
    reason = Consent.Event.Name(last.event).lower()
    return _step(Step.CONSENT, verdict, reason, last.create_time, source=last.source, number=last.number)


def _experiment(facts: Facts) -> Iterator[Step]:
    experiment = facts.campaign.experiment
    if not experiment:
        return
    if experiment.hold_out_percent and facts.contact_id:
        percent = experiment.hold_out_percent
        is_out = experiments.is_held_out(facts.campaign.id, UUID(facts.contact_id).bytes, percent)
        verdict = Step.STOPPED if is_out and facts.recipient is None else Step.PASSED
        yield _step(Step.HOLD_OUT, verdict, experiments.HELD_OUT if is_out else "", percent=percent)
    if experiment.texts and facts.recipient is not None:
        yield _step(Step.VARIANT, Step.NOTED, experiments.NAMES[facts.recipient.variant])


def _price(recipient: BatchRecipient) -> Step:
    return _step(Step.PRICE, Step.PASSED, "", segments=recipient.segments, credits=recipient.credits)


def _timing(campaign: AnyRow, batch: AnyRow, facts: Facts) -> Step:
    quiet_hours = f"{campaign.quiet_start}-{campaign.quiet_end}" if campaign.quiet_start else ""
    details = {"due_time": batch.due_time or "", "time_zone": batch.time_zone, "quiet_hours": quiet_hours}
    if batch.state == "CANCELLED":
        return _step(Step.TIMING, Step.STOPPED, claims.dropped(campaign), campaign.finish_time, **details)
    if facts.outcome is not None or batch.state in ("PUBLISHED", "TAKEN", "DONE"):
        return _step(Step.TIMING, Step.PASSED, "", batch.publish_time, **details)
    if batch.due_time and batch.due_time > facts.now:
        return _step(Step.TIMING, Step.PENDING, "not_due", batch.due_time, **details)
    return _step(Step.TIMING, Step.PENDING, Campaign.State.Name(campaign.state).lower(), **details)


def _submission(outcome: Outcome) -> Iterator[Step]:
    message = outcome.message
    if message.state == Message.SKIPPED:
        kind = STOPS.get(message.error, Step.TIMING)
        yield _step(kind, Step.STOPPED, message.error, message.finish_time)
        return
    yield _step(Step.SUPPRESSION, Step.PASSED, "", outcome.attempt_time)
    yield _step(Step.ATTEMPT, Step.PASSED, "", outcome.attempt_time, recipients=outcome.attempt_recipients)
    yield _answer(outcome)
    if message.state in (Message.REJECTED, Message.UNKNOWN):
        return
    verdicts = {Message.DELIVERED: Step.PASSED, Message.ACCEPTED: Step.PENDING}
    state = Message.State.Name(message.state).lower()
    verdict = verdicts.get(message.state, Step.STOPPED)
    yield _step(Step.REPORT, verdict, state, message.finish_time, words=message.error)


def _answer(outcome: Outcome) -> Step:
    message, detail = outcome.message, outcome.answer_detail
    if message.state == Message.REJECTED:
        return _step(Step.PROVIDER, Step.STOPPED, "rejected", outcome.answer_time, words=message.error or detail)
    if message.state == Message.UNKNOWN:
        return _step(Step.PROVIDER, Step.PENDING, "unknown", outcome.answer_time, words=detail)
    known = {"provider_message_id": message.provider_message_id, "words": detail}
    if outcome.HasField("link_open_time"):
        known["link_open_time"] = outcome.link_open_time.ToJsonString()
    return _step(Step.PROVIDER, Step.PASSED, "accepted", outcome.answer_time, **known)


def _money(outcome: Outcome) -> Step:
    """Charged is what the provider took; what nobody knows stays held, and what expired unknown was given back."""
    state, credits = outcome.message.state, outcome.credits
    if state == Message.UNKNOWN:
        return _step(Step.MONEY, Step.PENDING, "held", credits=credits)
    is_paid = state in PAID and not (state == Message.EXPIRED and outcome.answer == "UNKNOWN")
    return _step(Step.MONEY, Step.NOTED, "captured" if is_paid else "released", credits=credits)


def _response(row: AnyRow) -> Step:
    times = {name: getattr(row, name) for name in ("click_time", "redeem_time", "unsubscribe_time")}
    done = {name: time.isoformat() for name, time in times.items() if time}
    return _step(Step.RESPONSE, Step.NOTED, "", views=row.views, clicks=row.clicks, **done)


def _step(
    kind: Step.Kind.ValueType, verdict: Step.Verdict.ValueType, reason: str, time: Any = None, **details: object
) -> Step:
    """Details that are empty are left out. A time that a message does not have reads as none."""
    said = {name: str(value) for name, value in details.items() if value != ""}
    if isinstance(time, Timestamp) and not time.ByteSize():
        time = None
    return Step(kind=kind, verdict=verdict, reason=reason, time=time, details=said)
