"""What is read from a callback's body."""

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from services.sender import reports
from services.sender.errors import ReportInvalid
from services.sender.providers import Found, LookupFailedError
from services.sender.providers.mitto import found
from services.sender.webhooks import Body, items

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def reading(*items: Any) -> reports.Reading:
    return reports.read([Body(7, orjson.dumps(items), NOW)])


def test_the_last_word_on_a_message_wins_in_any_order() -> None:
    failed = {"messageId": "a", "deliveryStatus": "Failure", "updatedAt": "2026-01-01T10:00:00Z", "error": "gone"}
    delivered = {"messageId": "a", "deliveryStatus": "delivered"}
    sent = {"messageId": "a", "deliveryStatus": "Sent", "reference": "42"}
    for order in ([failed, delivered, sent], [sent, delivered, failed], [failed, sent, delivered, failed]):
        report = reading(*order).reports["a"]
        assert (report.state, report.message_id, report.error, report.time) == ("DELIVERED", 42, "", NOW)
    report = reading(sent, failed).reports["a"]
    assert (report.state, report.message_id, report.error) == ("FAILED", 42, "gone")
    assert report.time == datetime(2026, 1, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        ({"messageId": "a", "deliveryStatus": "Teleported"}, "unknown status"),
        ({"messageId": 5, "deliveryStatus": "Delivered"}, "no message id"),
        ({"messageId": "", "deliveryStatus": "Delivered"}, "no message id"),
        ({"messageId": "a\0", "deliveryStatus": "Delivered"}, "no message id"),
        ({"messageId": "a" * 201, "deliveryStatus": "Delivered"}, "no message id"),
        ({"messageId": "a", "deliveryStatus": None}, "no status"),
        ({"messageId": "a"}, "no status"),
        ("delivered", "no object"),
    ],
)
def test_what_can_not_be_read_is_quarantined_and_spoils_nothing_beside_it(item: Any, reason: str) -> None:
    found = reading({"messageId": "b", "deliveryStatus": "Queued"}, item)
    assert (list(found.reports), found.count) == (["b"], 2)
    (kept,) = found.quarantined
    assert (kept.webhook_id, kept.position, kept.reason) == (7, 1, reason)
    assert "\0" not in kept.item
    assert orjson.loads(kept.item) == item


def test_a_stored_body_that_is_none_is_quarantined_whole() -> None:
    found = reports.read([Body(7, b"<html>\0", NOW), Body(8, b'{"messageId":"a","deliveryStatus":"Sent"}', NOW)])
    assert [(kept.webhook_id, kept.item) for kept in found.quarantined] == [(7, "<html>")]
    assert list(found.reports) == ["a"]


@pytest.mark.parametrize("body", [b"", b"{", b"5", b'"a"', b"[1]", b"[]"])
def test_what_is_no_report_is_refused(body: bytes) -> None:
    with pytest.raises(ReportInvalid):
        items(body, ReportInvalid)


@pytest.mark.parametrize(
    ("reference", "id"),
    [("131072", 131072), ("0", None), ("-1", None), ("9223372036854775807", 2**63 - 1), ("9223372036854775808", None)]
    + [(reference, None) for reference in ("", "٤٢", "4 2", "0x1", "1" * 50, 42, None, [], "a-42")],
)
def test_a_reference_is_ours_where_it_is_a_number_of_63_bits(reference: Any, id: int | None) -> None:
    assert reports.message_id(reference) == id


@pytest.mark.parametrize(
    "time", ["", "soon", 5, None, [], "0001-01-01", "9999-12-31T23:59:59-14:00", "2027-01-01T00:00:00Z"]
)
def test_a_time_that_can_not_be_is_the_time_of_arrival(time: Any) -> None:
    assert reading({"messageId": "a", "deliveryStatus": "Sent", "updatedAt": time}).reports["a"].time == NOW


def test_a_time_without_a_zone_is_utc() -> None:
    found = reading({"messageId": "a", "deliveryStatus": "Sent", "createdAt": "2026-01-01T11:00:00"})
    assert found.reports["a"].time == NOW - timedelta(hours=1)


def test_a_look_up_says_what_was_sent_or_nothing() -> None:
    assert found(200, b'{"text": "Hi", "reference": "5"}') == Found("Hi", "5")
    assert found(200, b'{"text": "Hi", "reference": null}') == Found("Hi", "")
    for status, body in ((500, b"{}"), (429, b""), (200, b"<html>"), (200, b"[]"), (200, b'{"text": 5}')):
        with pytest.raises(LookupFailedError):
            found(status, body)
