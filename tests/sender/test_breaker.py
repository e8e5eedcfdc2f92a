"""When submissions stop, and how they begin again."""

from datetime import UTC, datetime, timedelta

import pytest

from services.sender import breaker
from services.sender.breaker import Route, Terms
from services.sender.outcomes import Accepted, NotSent, Outcome, Refused, Unknown

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TERMS = Terms(window=4, unknowns_max=3, open_seconds=30, probe_seconds=70)
OK, LOST, REFUSED = Accepted(["a"]), Unknown("?"), Refused("400")
KEY = NotSent("our key was refused (401)", 30, counts=False)


def follow(*answers: Outcome, route: Route | None = None, is_probe: bool = False) -> Route:
    route = route or Route("account")
    for answer in answers:
        route = breaker.after(route, answer, NOW, TERMS, is_probe=is_probe)
    return route


@pytest.mark.parametrize(
    ("answers", "is_open", "is_small"),
    [
        ([OK, OK, REFUSED], False, False),
        ([KEY], True, True),
        ([LOST], False, True),
        ([LOST, OK], False, False),
        ([LOST, REFUSED], False, True),
        ([LOST, LOST, LOST], True, True),
        ([LOST, OK, LOST, LOST], True, True),
        # The first has left the window.
        ([LOST, OK, OK, LOST, LOST], False, True),
        ([NotSent("429")], False, False),
    ],
)
def test_what_answers_do_to_a_route(answers: list[Outcome], is_open: bool, is_small: bool) -> None:
    route = follow(*answers)
    assert (route.is_open, route.is_small()) == (is_open, is_small)
    assert (route.retry_time > NOW) == is_open


def test_a_route_forgets_when_all_is_well() -> None:
    route = follow(LOST, *[OK] * TERMS.window)
    assert route.is_clean()


def test_one_probe_decides() -> None:
    open_route = follow(KEY)
    later = NOW + timedelta(seconds=31)
    out = breaker.probing(open_route, later, TERMS)
    # Nobody else leaves while it is out; if it never comes back, another may.
    assert out.retry_time == later + timedelta(seconds=70)
    assert follow(OK, route=out, is_probe=True).is_clean()
    assert not follow(REFUSED, route=out, is_probe=True).is_open
    for answer in (KEY, LOST, NotSent("provider away")):
        assert follow(answer, route=out, is_probe=True).is_open


def test_what_left_before_it_opened_does_not_close_it() -> None:
    open_route = follow(KEY)
    assert follow(OK, OK, route=open_route).is_open


def test_a_wait_that_the_provider_named_holds_for_everything() -> None:
    route = follow(NotSent("too many requests", 7))
    assert not route.is_open
    assert route.retry_time == NOW + timedelta(seconds=7)
