"""What moves credits, and what refuses to. Nothing here knows of time, keys or rows."""

from dataclasses import dataclass, replace

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
    """The entries of one journal, a field an account. They sum to zero: credits come from `granted`, `purchased` and
    `debt`, whose entries are negative. What becomes available pays a debt first, when it is booked.
    """

    available: int = 0
    held: int = 0
    spent: int = 0
    granted: int = 0
    purchased: int = 0
    debt: int = 0


def grant(wallet: Wallet, amount: int) -> Movement:
    """Refuses `AmountInvalid`, also where a wallet would have seen more credits than a message can say."""
    if not 1 <= amount <= GRANT_MAX:
        raise AmountInvalid(field="amount", amount=amount, amount_max=GRANT_MAX)
    return granted(wallet, amount)


def granted(wallet: Wallet, change: int) -> Movement:
    """So many credits come in, or, where it is negative, are taken back: what is not available any more is owed.

    Refuses `AmountInvalid` where a wallet would have seen more credits than a message can say.
    """
    if wallet.granted + wallet.purchased + wallet.debt + max(change, 0) > CREDITS_MAX:
        raise AmountInvalid(field="amount", amount=change)
    available = max(change, -wallet.available)
    return Movement(available=available, granted=-change, debt=change - available)


def purchased(wallet: Wallet, change: int) -> Movement:
    """As `granted`, of what was bought."""
    movement = granted(wallet, change)
    return replace(movement, granted=0, purchased=movement.granted)


def after(wallet: Wallet, movement: Movement) -> Wallet:
    """The balances once it is booked."""
    repaid = min(wallet.debt, max(movement.available, 0))
    shown = Wallet(
        available=wallet.available + movement.available - repaid,
        held=wallet.held + movement.held,
        spent=wallet.spent + movement.spent,
        granted=wallet.granted - movement.granted,
        purchased=wallet.purchased - movement.purchased,
        debt=wallet.debt - movement.debt - repaid,
    )
    shown.subscription.CopyFrom(wallet.subscription)
    return shown


def expired(amount: int) -> Movement:
    """What was left of a promotion is not given any more."""
    return Movement(available=-amount, granted=amount)


def opened(hold_id: str, amount: int) -> HoldRecord:
    """A new hold. Refuses `AmountInvalid`."""
    if amount < 1:
        raise AmountInvalid(field="amount", amount=amount)
    return HoldRecord(id=hold_id, amount=amount, state=HoldRecord.OPEN)


def check_affordable(available: int, amount: int, debt: int) -> None:
    """Refuses `InsufficientCredits`; the shortfall is what would have to come in."""
    if amount > available:
        raise InsufficientCredits(available=available, shortfall=amount - available + debt)


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
