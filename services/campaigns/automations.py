"""Automations: what may be written in one, the two that every merchant has, and when a daily one is asked."""

import re
from collections.abc import Collection
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from astronote.accounts.v1.accounts_pb2 import Merchant
from astronote.campaigns.v1.automations_pb2 import Automation, Trigger
from astronote.contacts.v1.audience_pb2 import Audience, Rule
from services.campaigns import offers
from services.campaigns.errors import AutomationInvalid, TextInvalid
from services.campaigns.merchants import SENDER_NAME
from services.campaigns.rendering import campaign_text, places_offer

NAME_CHARACTERS_MAX = 100
TEXT_CHARACTERS_MAX = 500
TAG_CHARACTERS_MAX = 50
DELAY_MINUTES_MAX = 365 * 24 * 60
DAILY_TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")
DAILY_TIME_DEFAULT = "10:00"
GREEK_COUNTRIES = frozenset({"GR", "CY"})
WRITABLE = frozenset({
    "name", "enabled", "trigger", "conditions", "repeat", "delay_minutes", "daily_time", "text", "sender_name",
    "offer_link", "offer", "track_links",
})  # fmt: skip
#: What makes a welcome a welcome is fixed.
FIXED = frozenset({"name", "trigger", "conditions", "repeat"})
OURS = {
    "welcome": Automation(
        id="welcome", name="Welcome", trigger=Trigger(event=Trigger.CONTACT_CREATED), repeat=Automation.ONCE
    ),
    "birthday": Automation(
        id="birthday",
        name="Birthday",
        trigger=Trigger(event=Trigger.DAILY),
        conditions=Rule(birthday=True),
        repeat=Automation.YEARLY,
        daily_time=DAILY_TIME_DEFAULT,
    ),
}
TEXTS = {
    ("welcome", True): "Καλώς ήρθατε, {{first_name|φίλοι}}! Χαιρόμαστε που είστε μαζί μας.",
    ("welcome", False): "Welcome, {{first_name|friend}}! We are glad to have you.",
    ("birthday", True): "Χρόνια πολλά, {{first_name|φίλοι}}! Περάστε να το γιορτάσουμε.",
    ("birthday", False): "Happy birthday, {{first_name|friend}}! Come by and celebrate with us.",
}


def default(id: str, merchant: Merchant) -> Automation:
    """One of `OURS`, as it is before the merchant says anything of it."""
    automation = Automation(text=TEXTS[id, merchant.country in GREEK_COUNTRIES])
    automation.MergeFrom(OURS[id])
    return automation


def check(automation: Automation) -> None:
    """Fills in what goes without saying. Refuses `AutomationInvalid`, `TextInvalid`, with the field; what the rule and
    the list are, contacts says.
    """
    if not 0 < len(automation.name.strip()) <= NAME_CHARACTERS_MAX:
        raise AutomationInvalid(field="automation.name", characters_max=NAME_CHARACTERS_MAX)
    if not 0 <= automation.delay_minutes <= DELAY_MINUTES_MAX:
        raise AutomationInvalid(field="automation.delay_minutes", minutes_max=DELAY_MINUTES_MAX)
    if automation.sender_name and not SENDER_NAME.fullmatch(automation.sender_name):
        raise AutomationInvalid(field="automation.sender_name", rule="3 to 11 letters and digits, or E.164")
    _check_trigger(automation.trigger)
    _check_times(automation)
    if len(automation.text) > TEXT_CHARACTERS_MAX:
        raise TextInvalid(field="automation.text", characters=len(automation.text), characters_max=TEXT_CHARACTERS_MAX)
    campaign_text(automation, "", "automation.text")
    if places_offer(automation.text) and not automation.offer_link:
        raise TextInvalid(field="automation.text", merge_field="offer_link", rule="needs offerLink: true")
    offers.check(automation.offer, "automation.offer", AutomationInvalid)


def audience(conditions: Rule) -> Audience:
    """Whom they select; everybody where they say nothing."""
    return Audience(rule=conditions) if conditions.ListFields() else Audience(all=True)


def next_run(daily_time: str, zone: ZoneInfo, after: datetime) -> datetime:
    """When the clocks of the zone show that time of day next; in the gap of a spring, when they would have."""
    hour, minute = map(int, daily_time.split(":"))
    day = after.astimezone(zone).date()
    while True:
        found = datetime.combine(day, time(hour, minute), zone).astimezone(UTC)
        if found > after:
            return found
        day += timedelta(days=1)


def check_writable(id: str, paths: Collection[str]) -> None:
    """Refuses `AutomationInvalid`."""
    if id in OURS and (fixed := sorted(FIXED.intersection(paths))):
        raise AutomationInvalid(field=f"automation.{fixed[0]}", rule=f"fixed, for {id}")


def _check_trigger(trigger: Trigger) -> None:
    """Refuses `AutomationInvalid`."""
    if trigger.event not in Trigger.Event.values():
        raise AutomationInvalid(field="automation.trigger.event", known=", ".join(Trigger.Event.keys()[1:]))
    for name, event in (("list_id", Trigger.LIST_JOINED), ("tag", Trigger.TAG_ADDED)):
        if bool(getattr(trigger, name)) != (trigger.event == event):
            raise AutomationInvalid(field=f"automation.trigger.{name}", rule=f"with {Trigger.Event.Name(event)} alone")
    if len(trigger.tag) > TAG_CHARACTERS_MAX or "\0" in trigger.tag:
        raise AutomationInvalid(field="automation.trigger.tag", characters_max=TAG_CHARACTERS_MAX)


def _check_times(automation: Automation) -> None:
    """Refuses `AutomationInvalid`."""
    is_daily = automation.trigger.event == Trigger.DAILY
    automation.repeat = automation.repeat or Automation.ONCE
    fitting = (Automation.ONCE, Automation.YEARLY if is_daily else Automation.ALWAYS)
    if automation.repeat not in fitting:
        known = ", ".join(map(Automation.Repeat.Name, fitting))
        raise AutomationInvalid(field="automation.repeat", known=known)
    if is_daily and not automation.conditions.ListFields():
        raise AutomationInvalid(field="automation.conditions", rule="say for whom a day comes")
    automation.daily_time = automation.daily_time or (DAILY_TIME_DEFAULT if is_daily else "")
    if bool(automation.daily_time) != is_daily or (is_daily and not DAILY_TIME.fullmatch(automation.daily_time)):
        raise AutomationInvalid(field="automation.daily_time", rule="HH:MM, with DAILY alone")
