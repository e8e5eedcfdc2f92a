"""What moves credits, and what refuses to. Nothing here knows of time, keys or rows."""

from dataclasses import dataclass

from astronote.wallet.v1.wallet_pb2 import HoldRecord, Wallet
from services.wallet.errors import (
    AmountInvalid,
    HoldClosed,
    HoldExceeded,
    HoldUnsettled,
    InsufficientCredits,
)

GRANT_MAX = 1_000_000_000
# Messages carry int32. No account can exceed what came in, so bounding that bounds them all.
CREDITS_MAX = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Movement:
    """The entries of one journal, a field an account. They sum to zero: credits come from `granted` and `purchased`,
    whose entries are negative.
    """

    available: int = 0
    held: int = 0
    spent: int = 0
    granted: int = 0
    purchased: int = 0


def grant(wallet: Wallet, amount: int) -> Movement:
    """Refuses `AmountInvalid`, also where a wallet would have seen more credits than a message can say."""
    if not 1 <= amount <= GRANT_MAX or wallet.granted + wallet.purchased + amount > CREDITS_MAX:
        raise AmountInvalid(field="amount", amount=amount, amount_max=GRANT_MAX)
    return Movement(available=amount, granted=-amount)


def expired(amount: int) -> Movement:
    """What was left of a promotion is not given any more."""
    return Movement(available=-amount, granted=amount)


def opened(hold_id: str, amount: int) -> HoldRecord:
    """A new hold. Refuses `AmountInvalid`."""
    if amount < 1:
        raise AmountInvalid(field="amount", amount=amount)
    return HoldRecord(id=hold_id, amount=amount, state=HoldRecord.OPEN)


def check_affordable(available: int, amount: int) -> None:
    """Refuses `InsufficientCredits`."""
    if amount > available:
        raise InsufficientCredits(available=available, shortfall=amount - available)


def settled(hold: HoldRecord, capture: int, release: int) -> HoldRecord:
    """Refuses `AmountInvalid`, `HoldClosed`, `HoldExceeded`."""
    for field, amount in (("capture", capture), ("release", release)):
        if amount < 0:
            raise AmountInvalid(field=field, amount=amount)
    if hold.state == HoldRecord.CLOSED:
        # The close has released all that was left: a release that was on its way meanwhile has nothing to do.
        if capture == 0 and release <= hold.released:
            return hold
        raise HoldClosed(hold_id=hold.id)
    if capture + release > left(hold):
        raise HoldExceeded(hold_id=hold.id, left=left(hold), exceeded_by=capture + release - left(hold))
    return _changed(hold, captured=hold.captured + capture, released=hold.released + release)


def closed(hold: HoldRecord, captured: int) -> HoldRecord:
    """Refuses `HoldUnsettled`."""
    if hold.captured != captured:
        raise HoldUnsettled(hold_id=hold.id, captured=hold.captured, expected=captured)
    return _changed(hold, released=hold.released + left(hold), state=HoldRecord.CLOSED)


def between(before: HoldRecord, after: HoldRecord) -> Movement:
    """What the wallet does when a hold goes from one shape to another; an empty record is one that is not yet."""
    held = left(after) - left(before)
    spent = after.captured - before.captured
    return Movement(available=-held - spent, held=held, spent=spent)


def left(hold: HoldRecord) -> int:
    return hold.amount - hold.captured - hold.released


def _changed(hold: HoldRecord, **fields: int) -> HoldRecord:
    changed = HoldRecord()
    changed.CopyFrom(hold)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed
