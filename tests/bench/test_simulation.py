"""What is computed of larger meshes is what can be said of the smallest by hand."""

import pytest

from bench.simulation import BATCH_SIZE, FROZEN, MACHINE, PROVIDER_SECONDS, REPORTED, SUBMITTED, simulate

#: Milliseconds of a thousand recipients.
COSTS = {"postgres": 50.0, "sender": 25.0, "campaigns": 15.0, "contacts": 6.0, "mitto": 10.0}
RECIPIENTS = 1_000_000


def _whole(name: str) -> float:
    return sum(share for road in (FROZEN, SUBMITTED, REPORTED) for process, share in road if process == name)


@pytest.mark.parametrize("name", sorted({name for road in (FROZEN, SUBMITTED, REPORTED) for name, _ in road}))
def test_the_shares_of_a_process_are_the_whole_of_its_cost(name: str) -> None:
    assert _whole(name) == pytest.approx(1)


def test_two_cores_carry_what_two_cores_can() -> None:
    outcome = simulate(COSTS, {MACHINE: 2}, RECIPIENTS)
    most = 2 * 1e6 / sum(COSTS.values())
    assert outcome.load == pytest.approx(1, abs=0.05)
    # One core stands idle while the campaign is frozen.
    assert 0.75 * most < outcome.recipients_per_second < most


def test_one_batch_at_a_time_takes_the_time_of_its_road() -> None:
    free = dict.fromkeys(COSTS, 1e-6)
    outcome = simulate(free, {}, RECIPIENTS, ahead=1)
    assert outcome.recipients_per_second == pytest.approx(BATCH_SIZE / PROVIDER_SECONDS, rel=0.01)


def test_the_fullest_queue_is_the_one_that_more_cores_help() -> None:
    few = simulate(COSTS, {"postgres": 8}, RECIPIENTS, campaigns=8)
    more = simulate(COSTS, {"postgres": 8, "sender": 2}, RECIPIENTS, campaigns=8)
    idle = simulate(COSTS, {"postgres": 16}, RECIPIENTS, campaigns=8)
    assert few.fullest == "sender"
    assert more.recipients_per_second > few.recipients_per_second * 1.3
    assert idle.recipients_per_second < few.recipients_per_second * 1.05
