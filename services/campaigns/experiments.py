"""Experiments: who gets which of a campaign's texts, who gets none, and what that has shown.

Both are decided by a hash of campaign and contact, so a quote, a send and a send that resumes decide alike, and nobody
can choose. People who are no contacts get the first text.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from uuid import UUID

from astronote.campaigns.v1.experiments_pb2 import Experiment, ExperimentResult, HoldOutResult, VariantResult
from astronote.contacts.v1.contacts_pb2 import AudienceMember
from kit.rows import AnyRow
from services.campaigns.errors import CampaignInvalid, ConversionsInvalid

#: What the texts of a campaign are called.
NAMES = "ABCD"
#: Why somebody is skipped who is left without the text.
HELD_OUT = "held_out"
HOLD_OUT_PERCENT_MAX = 50
DECIDE_HOURS_DEFAULT, DECIDE_HOURS_MAX = 24, 168
CONVERSIONS_MAX = 500
ID_BYTES = 16
# Two-sided, one chance in twenty.
SIGNIFICANT_DEVIATIONS = 1.96
METRICS = {Experiment.CLICKERS: "clickers", Experiment.VIEWERS: "viewers", Experiment.REDEMPTIONS: "redemptions"}


def check(experiment: Experiment) -> None:
    """Refuses `CampaignInvalid`, with the field. The texts are checked as all texts are."""
    field = "campaign.experiment"
    if len(experiment.texts) >= len(NAMES):
        raise CampaignInvalid(field=f"{field}.texts", texts_max=len(NAMES) - 1)
    if not 0 <= experiment.hold_out_percent <= HOLD_OUT_PERCENT_MAX:
        raise CampaignInvalid(field=f"{field}.hold_out_percent", percent_max=HOLD_OUT_PERCENT_MAX)
    if not 0 <= experiment.decide_hours <= DECIDE_HOURS_MAX:
        raise CampaignInvalid(field=f"{field}.decide_hours", hours_max=DECIDE_HOURS_MAX)
    if experiment.metric and experiment.metric not in METRICS:
        raise CampaignInvalid(field=f"{field}.metric", rule=",".join(Experiment.Metric.keys()[1:]))


def variant(campaign_id: str, contact_id: bytes, count: int) -> int:
    """Which of so many texts a contact gets, from 0."""
    return _draw(campaign_id, contact_id, b"text") % count if contact_id else 0


def is_held_out(campaign_id: str, contact_id: bytes, percent: int) -> bool:
    return bool(contact_id) and _draw(campaign_id, contact_id, b"hold out") % 100 < percent


def texted(row: AnyRow, members: Sequence[AudienceMember]) -> Sequence[AudienceMember]:
    """Those of the members who are not held out."""
    percent = row.experiment.hold_out_percent if row.experiment else 0
    return [each for each in members if not is_held_out(row.id, each.contact_id, percent)] if percent else members


def _draw(campaign_id: str, contact_id: bytes, purpose: bytes) -> int:
    digest = blake2b(contact_id, digest_size=8, key=UUID(campaign_id).bytes, person=purpose)
    return int.from_bytes(digest.digest(), "big")


def contact_ids(texts: Sequence[str]) -> dict[bytes, str]:
    """By their 16 bytes, each once. Refuses `ConversionsInvalid`."""
    if not 0 < len(texts) <= CONVERSIONS_MAX:
        raise ConversionsInvalid(field="contact_ids", count_max=CONVERSIONS_MAX)
    found = dict[bytes, str]()
    for index, text in enumerate(texts):
        try:
            found[UUID(text).bytes] = text
        except ValueError as error:
            raise ConversionsInvalid(field=f"contact_ids[{index}]", rule="a contact's id") from error
    return found


def among(page: bytes, sought: Mapping[bytes, str]) -> set[bytes]:
    """Which of these contacts stand in a page, 16 bytes a contact."""
    return sought.keys() & {page[at : at + ID_BYTES] for at in range(0, len(page), ID_BYTES)}


def result(
    row: AnyRow, responses: Mapping[int, AnyRow], conversions: Mapping[bool, int], now: datetime
) -> ExperimentResult:
    """`responses` by text, `conversions` of those held out and of the others."""
    shown = ExperimentResult(variants=_variants(row, responses))
    decide_time = (row.start_time or now) + timedelta(hours=row.experiment.decide_hours or DECIDE_HOURS_DEFAULT)
    if shown.variants:
        shown.decide_time.FromDatetime(decide_time.astimezone(UTC))
        if row.start_time and decide_time <= now:
            shown.winner = _winner(shown.variants, METRICS[row.experiment.metric or Experiment.CLICKERS])
    if row.experiment.hold_out_percent:
        shown.hold_out.CopyFrom(_hold_out(row, conversions))
    return shown


def _variants(row: AnyRow, responses: Mapping[int, AnyRow]) -> list[VariantResult]:
    if not row.experiment.texts:
        return []
    found = []
    for place in range(len(row.experiment.texts) + 1):
        shown = VariantResult(name=NAMES[place], recipients=row.variant_recipients.get(str(place), 0))
        if counts := responses.get(place):
            for name in ("viewers", "clickers", "redemptions", "unsubscribes"):
                setattr(shown, name, getattr(counts, name))
        found.append(shown)
    return found


def _winner(variants: Sequence[VariantResult], metric: str) -> str:
    """The name of the text that leads beyond chance; empty where none does."""
    best, second = sorted(variants, key=lambda each: -_share(getattr(each, metric), each.recipients))[:2]
    is_ahead = _is_significant(getattr(best, metric), best.recipients, getattr(second, metric), second.recipients)
    return best.name if is_ahead else ""


def _hold_out(row: AnyRow, conversions: Mapping[bool, int]) -> HoldOutResult:
    held_out = row.skipped.get(HELD_OUT, 0)
    texted = row.targeted - held_out
    did, did_without = conversions.get(False, 0), conversions.get(True, 0)
    shown = HoldOutResult(
        texted=texted,
        held_out=held_out,
        texted_conversions=did,
        held_out_conversions=did_without,
        significant=_is_significant(did, texted, did_without, held_out),
    )
    if did_without:
        shown.lift = _share(did, texted) / _share(did_without, held_out) - 1
    return shown


def _share(count: int, of: int) -> float:
    return count / of if of else 0.0


def _is_significant(count: int, of: int, other_count: int, other_of: int) -> bool:
    """Whether two shares differ beyond chance: the two-proportion z-test with a pooled share."""
    if not of or not other_of:
        return False
    pooled = (count + other_count) / (of + other_of)
    deviation = math.sqrt(max(pooled * (1 - pooled), 0) * (1 / of + 1 / other_of))
    return bool(deviation) and abs(count / of - other_count / other_of) / deviation > SIGNIFICANT_DEVIATIONS
