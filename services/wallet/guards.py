"""Whether credits may be held: the operator's brake, the countries, a merchant's day. In doubt they may not."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from astronote.wallet.v1.guards_pb2 import SpendLimits, SpendPolicy
from kit.errors import DomainError
from services.wallet.errors import (
    CountryNotAllowed,
    DailyCapReached,
    SpendingBraked,
    SpendLimitsInvalid,
    SpendPolicyInvalid,
)

# ITU-T E.164: one to three digits, and none is the beginning of another.
CALLING_CODE = re.compile(r"\+[1-9][0-9]{0,2}")
CALLING_CODES_MAX = 250
REASON_LENGTH_MAX = 500
# Of a top-up.
CREDITS_MAX = 1_000_000


@dataclass(frozen=True, slots=True)
class Means:
    """What a merchant has, and what bounds its use, with this hold in `used` already. Where a merchant has no limits
    they are zero and empty.
    """

    available: int
    debt: int
    braked: bool
    policy_codes: Sequence[str]
    calling_codes: Sequence[str]
    daily_credits_max: int
    used: int
    low_balance_credits: int


def check(means: Means, amount: int, destinations: Sequence[str]) -> None:
    """Refuses `SpendingBraked`, `CountryNotAllowed`, `DailyCapReached`."""
    if means.braked:
        raise SpendingBraked
    for codes in (means.policy_codes, means.calling_codes):
        if codes and (strange := _strange(tuple(codes), destinations)):
            raise CountryNotAllowed(destinations=",".join(strange))
    if means.daily_credits_max and means.used > means.daily_credits_max:
        left = max(0, means.daily_credits_max - means.used + amount)
        raise DailyCapReached(daily_credits_max=means.daily_credits_max, left_today=left)


def _strange(codes: tuple[str, ...], destinations: Sequence[str]) -> list[str]:
    """Those that are of none of the countries; a hold that does not say where it goes, goes anywhere."""
    return [each for each in destinations or ["unknown"] if not each.startswith(codes)]


def falls_low(before: int, after: int, low_balance_credits: int) -> bool:
    """Whether it is now that the balance came to be low; 0 credits: it never is."""
    return after < low_balance_credits <= before


def check_limits(limits: SpendLimits) -> None:
    """Refuses `SpendLimitsInvalid`."""
    _check_codes(limits.calling_codes, SpendLimitsInvalid, "spend_limits")
    for field in ("daily_credits_max", "low_balance_credits", "top_up_credits", "top_up_monthly_cents_max"):
        if getattr(limits, field) < 0:
            raise SpendLimitsInvalid(field=f"spend_limits.{field}", rule="at least 0")
    if limits.top_up_credits > CREDITS_MAX:
        raise SpendLimitsInvalid(field="spend_limits.top_up_credits", rule=f"at most {CREDITS_MAX}")
    if limits.top_up_credits and not (limits.low_balance_credits and limits.top_up_monthly_cents_max):
        raise SpendLimitsInvalid(
            field="spend_limits.top_up_credits", rule="needs lowBalanceCredits and topUpMonthlyCentsMax"
        )


def check_policy(policy: SpendPolicy) -> None:
    """Refuses `SpendPolicyInvalid`."""
    _check_codes(policy.calling_codes, SpendPolicyInvalid, "spend_policy")
    if len(policy.reason) > REASON_LENGTH_MAX:
        raise SpendPolicyInvalid(field="spend_policy.reason", characters_max=REASON_LENGTH_MAX)


def _check_codes(codes: Iterable[str], refusal: type[DomainError], name: str) -> None:
    found = list(codes)
    if len(found) > CALLING_CODES_MAX or not all(map(CALLING_CODE.fullmatch, found)):
        raise refusal(field=f"{name}.calling_codes", rule=f"up to {CALLING_CODES_MAX}, such as +30")
