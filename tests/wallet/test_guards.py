"""The rules of the guards, without a database."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astronote.wallet.v1.guards_pb2 import SpendLimits, SpendPolicy
from services.wallet import guards
from services.wallet.errors import (
    CountryNotAllowed,
    DailyCapReached,
    SpendingBraked,
    SpendLimitsInvalid,
    SpendPolicyInvalid,
)
from services.wallet.guards import Means

FREE = Means(
    available=100,
    debt=0,
    braked=False,
    policy_codes=[],
    calling_codes=[],
    daily_credits_max=0,
    used=0,
    low_balance_credits=0,
)
GREECE, CYPRUS, AMERICA = "+306", "+357", "+121"


@given(st.integers(1, 100), st.lists(st.sampled_from([GREECE, CYPRUS, AMERICA])))
def test_who_has_set_nothing_is_bound_by_nothing(amount: int, destinations: list[str]):
    guards.check(FREE, amount, destinations)


def test_the_brake_stops_everybody():
    with pytest.raises(SpendingBraked):
        guards.check(replace(FREE, braked=True), 1, [GREECE])


@pytest.mark.parametrize("whose", ["policy_codes", "calling_codes"])
@pytest.mark.parametrize(
    ("codes", "destinations", "strange"),
    [
        (["+30"], [GREECE], ""),
        (["+30", "+357"], [CYPRUS, GREECE], ""),
        (["+1"], [AMERICA], ""),
        (["+30"], [GREECE, CYPRUS, AMERICA], "+357,+121"),
        # In doubt it is closed.
        (["+30"], [], "unknown"),
    ],
)
def test_only_countries_that_are_on_the_lists_are_texted(
    whose: str, codes: list[str], destinations: list[str], strange: str
):
    means = replace(FREE, **{whose: codes})
    if not strange:
        guards.check(means, 1, destinations)
        return
    with pytest.raises(CountryNotAllowed) as raised:
        guards.check(means, 1, destinations)
    assert raised.value.metadata == {"destinations": strange}


def test_a_day_has_an_end():
    guards.check(replace(FREE, daily_credits_max=50, used=50), 20, [GREECE])
    with pytest.raises(DailyCapReached) as raised:
        guards.check(replace(FREE, daily_credits_max=50, used=51), 20, [GREECE])
    assert raised.value.metadata == {"daily_credits_max": "50", "left_today": "19"}


@given(st.lists(st.integers(0, 20), min_size=2, max_size=20), st.integers(0, 20))
def test_a_low_balance_is_said_once_until_it_was_higher_again(balances: list[int], low: int):
    said = [guards.falls_low(before, after, low) for before, after in pairwise(balances)]
    was_low = balances[0] < low
    for falls, after in zip(said, balances[1:], strict=True):
        assert falls == (after < low and not was_low)
        was_low = after < low


TOO_MANY = SpendLimits(calling_codes=["+1"] * 251)


@pytest.mark.parametrize(
    ("check", "entry", "refusal", "field"),
    [
        (guards.check_limits, SpendLimits(daily_credits_max=-1), SpendLimitsInvalid, "spend_limits.daily_credits_max"),
        (guards.check_limits, SpendLimits(calling_codes=["GR"]), SpendLimitsInvalid, "spend_limits.calling_codes"),
        (guards.check_limits, SpendLimits(calling_codes=["+3069"]), SpendLimitsInvalid, "spend_limits.calling_codes"),
        (guards.check_limits, TOO_MANY, SpendLimitsInvalid, "spend_limits.calling_codes"),
        (guards.check_policy, SpendPolicy(calling_codes=[""]), SpendPolicyInvalid, "spend_policy.calling_codes"),
        (guards.check_policy, SpendPolicy(reason="x" * 501), SpendPolicyInvalid, "spend_policy.reason"),
    ],
)
def test_what_limits_may_not_say(check: Any, entry: Any, refusal: Any, field: str):
    with pytest.raises(refusal) as raised:
        check(entry)
    assert raised.value.metadata["field"] == field
