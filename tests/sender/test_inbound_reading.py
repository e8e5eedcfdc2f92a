"""What is read from a customer's text, and whom it is for."""

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astronote.sender.v1.inbound_pb2 import InboundText
from services.sender import inbound
from services.sender.webhooks import Body

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
STOP = {"from": "306912345678", "to": "54344", "text": "Στοπ"}


def reading(*items: Any, time: datetime = NOW) -> inbound.Reading:
    return inbound.read([Body(7, orjson.dumps(items), time)])


def test_it_is_read_under_each_of_its_names() -> None:
    for item in (
        STOP,
        {"msisdn": 306912345678, "destination": 54344, "message": "Στοπ"},
        {"sender": "+30 691-234-5678", "to": "54344", "text": " Στοπ\0 "},
        {"from": "", "sender": "00306912345678", "to": None, "destination": "54344", "message": "Στοπ"},
    ):
        (arrival,) = reading(item).arrivals.values()
        assert (arrival.phone, arrival.to, arrival.text) == ("+306912345678", "54344", "Στοπ")
        assert (arrival.kind, arrival.receive_time) == (InboundText.STOP, NOW)


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("306912345678", "+306912345678"),
        ("+306912345678", "+306912345678"),
        ("00306912345678", "+306912345678"),
        ("+30 (691) 234 5678", "+306912345678"),
        ("12025550123", "+12025550123"),
        ("54344", "54344"),
        ("Cosmote", "Cosmote"),
        ("0691234567", "0691234567"),
        ("", ""),
        ("3" * 16, "3" * 16),
        ("+30691234567x", "+30691234567x"),
        ("x" * 60, "x" * 40),
        ("３０６９１２３４５６７８", "３０６９１２３４５６７８"),
    ],
)
def test_a_number_is_written_in_one_way(written: str, number: str) -> None:
    assert inbound.number(written) == number


@pytest.mark.parametrize(
    "item",
    [
        5,
        None,
        [],
        {},
        {"text": "STOP"},
        {"from": "Cosmote", "text": "STOP"},
        {"from": ["306912345678"]},
        {"from": True},
    ],
)
def test_what_names_no_phone_is_quarantined_and_the_rest_is_read(item: Any) -> None:
    found = reading(item, STOP)
    assert [(kept.webhook_id, kept.position, kept.reason) for kept in found.quarantined] == [(7, 0, "no phone")]
    assert len(found.arrivals) == 1


def test_an_empty_or_endless_text_is_a_text() -> None:
    for words, kept in (("", ""), (None, ""), ("a" * 5000, "a" * 2000), (1, "1")):
        (arrival,) = reading(STOP | {"text": words}).arrivals.values()
        assert (arrival.text, arrival.kind) == (kept, InboundText.OTHER)


def test_a_repeat_has_the_same_key() -> None:
    def key(item: dict[str, Any], time: datetime = NOW) -> bytes:
        return next(iter(reading(item, time=time).arrivals))

    later, tomorrow = NOW + timedelta(hours=1), NOW + timedelta(days=1)
    assert key(STOP) == key(STOP, later) == key(dict(reversed(STOP.items())))
    assert key(STOP) != key(STOP | {"text": "Stop"})
    # Without an id or a time of its own it is said again the next day.
    assert key(STOP) != key(STOP, tomorrow)
    for own in ({"messageId": "a"}, {"createdAt": "2026-01-01T11:59:00Z"}):
        assert key(STOP | own) == key(STOP | own, tomorrow) != key(STOP)
    assert key(STOP | {"messageId": "a"}) != key(STOP | {"messageId": "b"})


@pytest.mark.parametrize(
    ("users", "texted", "meant"),
    [
        # A number that one merchant uses.
        (["a"], [], ["a"]),
        (["a"], ["b", "a"], ["a"]),
        # Several use it: those of them who texted the phone.
        (["a", "b"], ["c", "b"], ["b"]),
        (["a", "b"], ["b", "a"], ["b", "a"]),
        (["a", "b"], ["c"], []),
        # Nobody is known to.
        ([], ["b", "a"], ["b", "a"]),
        ([], [], []),
    ],
)
def test_whom_a_text_is_for(users: list[str], texted: list[str], meant: list[str]) -> None:
    assert inbound.addressees(users, texted) == meant


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["from", "to", "text"]), inner),
    max_leaves=8,
)


@settings(deadline=None, derandomize=True)
@given(st.lists(json_values, max_size=5))
def test_every_item_is_an_arrival_a_repeat_or_quarantined(items: list[Any]) -> None:
    found = inbound.read([Body(1, orjson.dumps([*items, STOP]), NOW)])
    assert 1 <= len(found.arrivals) <= len(items) + 1 - len(found.quarantined)
    for arrival in found.arrivals.values():
        assert arrival.phone.startswith("+")
        assert "\0" not in arrival.text + arrival.to
