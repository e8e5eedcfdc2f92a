"""What an automation may say, and when a daily one is asked."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from astronote.accounts.v1.accounts_pb2 import Merchant
from astronote.campaigns.v1.automations_pb2 import Automation, Trigger
from astronote.contacts.v1.audience_pb2 import Rule
from services.campaigns import automations
from services.campaigns.errors import AutomationInvalid, TextInvalid

DAILY = {"trigger": Trigger(event=Trigger.DAILY), "conditions": Rule(birthday=True)}
ATHENS = ZoneInfo("Europe/Athens")


def automation(**fields: Any) -> Automation:
    given = {"name": "Own", "text": "Hi", "trigger": Trigger(event=Trigger.CONTACT_CREATED), **fields}
    return Automation(**given)


@pytest.mark.parametrize("country", ["GR", "CY", "US", ""])
@pytest.mark.parametrize("id", automations.OURS)
def test_the_two_that_everybody_has_are_in_order(id: str, country: str) -> None:
    found = automations.default(id, Merchant(country=country))
    automations.check(found)
    assert (found.enabled, "Greek" if "α" in found.text else "English") == (
        False,
        "Greek" if country in ("GR", "CY") else "English",
    )


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"name": " "}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"delay_minutes": -1}, "delay_minutes"),
        ({"delay_minutes": 525_601}, "delay_minutes"),
        ({"sender_name": "Καφέ"}, "sender_name"),
        ({"trigger": Trigger(event=77)}, "trigger.event"),
        ({"trigger": Trigger(event=Trigger.LIST_JOINED)}, "trigger.list_id"),
        ({"trigger": Trigger(event=Trigger.TAG_ADDED)}, "trigger.tag"),
        ({"trigger": Trigger(event=Trigger.TAG_ADDED, tag="x" * 51)}, "trigger.tag"),
        ({"trigger": Trigger(event=Trigger.CONTACT_CREATED, tag="vip")}, "trigger.tag"),
        ({"repeat": Automation.YEARLY}, "repeat"),
        ({**DAILY, "repeat": Automation.ALWAYS}, "repeat"),
        ({"trigger": Trigger(event=Trigger.DAILY)}, "conditions"),
        ({"trigger": Trigger(event=Trigger.DAILY), "conditions": Rule()}, "conditions"),
        ({"daily_time": "10:00"}, "daily_time"),
        ({**DAILY, "daily_time": "24:00"}, "daily_time"),
        ({**DAILY, "daily_time": "9:00"}, "daily_time"),
        ({"offer": {"title": "x" * 81}}, "offer.title"),
        ({"text": "x" * 501}, "text"),
        ({"text": "{{frist_name}}"}, "text"),
        ({"text": "{{offer_link}}"}, "text"),
        ({"text": ""}, "text"),
    ],
)
def test_a_field_that_is_wrong_is_named(fields: dict[str, Any], path: str) -> None:
    with pytest.raises((AutomationInvalid, TextInvalid)) as raised:
        automations.check(automation(**fields))
    assert raised.value.metadata["field"] == f"automation.{path}"


def test_what_goes_without_saying_is_filled_in() -> None:
    daily, other = automation(**DAILY), automation()
    automations.check(daily)
    automations.check(other)
    assert (daily.repeat, daily.daily_time) == (Automation.ONCE, "10:00")
    assert (other.repeat, other.daily_time) == (Automation.ONCE, "")


@pytest.mark.parametrize(
    ("daily_time", "after", "expected"),
    [
        ("10:00", "2026-11-22T07:59:59", "2026-11-22T08:00:00"),
        ("10:00", "2026-11-22T08:00:00", "2026-11-23T08:00:00"),
        ("00:30", "2026-11-22T21:00:00", "2026-11-22T22:30:00"),
        # The clocks leave 03:30 out on 29 March 2026, and show it twice on 25 October.
        ("03:30", "2026-03-28T12:00:00", "2026-03-29T01:30:00"),
        ("03:30", "2026-10-24T12:00:00", "2026-10-25T00:30:00"),
        ("03:30", "2026-10-25T00:30:00", "2026-10-26T01:30:00"),
    ],
)
def test_a_day_is_asked_once_by_the_merchant_s_clock(daily_time: str, after: str, expected: str) -> None:
    found = automations.next_run(daily_time, ATHENS, datetime.fromisoformat(after).replace(tzinfo=UTC))
    assert found == datetime.fromisoformat(expected).replace(tzinfo=UTC)
