"""What a sender is told who asks, right before it begins, whether a batch still goes out."""

from dataclasses import dataclass
from datetime import datetime

from astronote.campaigns.v1.campaigns_pb2 import Campaign, ClaimBatchResponse
from kit.rows import AnyRow

Verdict = ClaimBatchResponse.Verdict
CANCELLED, OFFER_EXPIRED = "cancelled", "offer_expired"


@dataclass(frozen=True)
class Claim:
    """The answer, and what the batch is from then on: its state, and when it is due again where that is known."""

    verdict: Verdict.ValueType
    state: str
    reason: str = ""
    due_time: datetime | None = None


def dropped(campaign: AnyRow) -> str:
    """Why batches of a campaign were taken back that no sender had begun."""
    if campaign.state == Campaign.FAILED:
        return str(campaign.failure.lower())
    if campaign.state != Campaign.CANCELLED and OFFER_EXPIRED in campaign.skipped:
        return OFFER_EXPIRED
    return CANCELLED


def decide(
    campaign_state: int, state: str, *, is_offer_over: bool = False, quiet_until: datetime | None = None
) -> Claim:
    """`state` is that of the batch, `quiet_until` when its recipients may be texted again, where they may not be now.

    What a sender had begun (`TAKEN`) stays with its books; the rest waits here.
    """
    waiting = "TAKEN" if state == "TAKEN" else "READY"
    if state not in ("READY", "PUBLISHED", "TAKEN"):
        return Claim(ClaimBatchResponse.DROP, state)
    if campaign_state == Campaign.CANCELLED and state == "TAKEN":
        return Claim(ClaimBatchResponse.STOP, state, CANCELLED)
    if is_offer_over and state == "TAKEN":
        return Claim(ClaimBatchResponse.STOP, state, OFFER_EXPIRED)
    # Of what was not begun, the end of the offer takes care (`OfferEnds`).
    if campaign_state != Campaign.SENDING or is_offer_over:
        return Claim(ClaimBatchResponse.WAIT, waiting)
    if quiet_until is not None:
        return Claim(ClaimBatchResponse.WAIT, waiting, due_time=quiet_until)
    return Claim(ClaimBatchResponse.GO, "TAKEN")
