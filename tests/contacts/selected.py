"""Whom a rule selects, in plain Python: what the tests hold the SQL against."""

import re
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from astronote.contacts.v1.audience_pb2 import ActivityCondition, FieldCondition, Rule
from astronote.contacts.v1.contacts_pb2 import Contact
from services.contacts.search import folded

Op, Activity = FieldCondition.Op, ActivityCondition
CALLING_CODES = {"GR": "+30", "CY": "+357", "US": "+1", "CA": "+1"}


@dataclass
class Person:
    """A contact, its lists, and when each thing last became of a text to it."""

    contact: Contact
    lists: set[str] = field(default_factory=set)
    activity: dict[int, datetime] = field(default_factory=dict)


def selects(rule: Rule, person: Person, now: datetime, zone: ZoneInfo) -> bool:
    contact, today = person.contact, now.astimezone(zone).date()
    if rule.all_of:
        return all(selects(each, person, now, zone) for each in rule.all_of)
    if rule.any_of:
        return any(selects(each, person, now, zone) for each in rule.any_of)
    match rule.WhichOneof("condition"):
        case "not":
            return not selects(getattr(rule, "not"), person, now, zone)
        case "in_list":
            return rule.in_list in person.lists
        case "has_tag":
            return rule.has_tag in contact.tags
        case "gender":
            return Contact.Gender.Name(contact.gender) == rule.gender
        case "age_between":
            return _is_of_age(rule, contact, today)
        case "birthday":
            return bool(contact.birthday) and _birthday_in(date.fromisoformat(contact.birthday), today.year) == today
        case "activity":
            return _was_active(rule, person, now)
        case _:
            return _fits(rule.field, contact, zone)


def _is_of_age(rule: Rule, contact: Contact, today: date) -> bool:
    if not contact.birthday:
        return False
    born, age = date.fromisoformat(contact.birthday), rule.age_between
    years = today.year - born.year - ((today.month, today.day) < (born.month, born.day))
    return (not age.HasField("min") or years >= age.min) and (not age.HasField("max") or years <= age.max)


def _birthday_in(born: date, year: int) -> date:
    try:
        return born.replace(year=year)
    except ValueError:
        return date(year, 2, 28)


def _was_active(rule: Rule, person: Person, now: datetime) -> bool:
    since = now - timedelta(days=rule.activity.within_days)
    if rule.activity.kind == Activity.SILENT:
        signs = [person.activity.get(kind) for kind in (Activity.CLICKED, Activity.REDEEMED)]
        return _created(person.contact) <= since and not any(time and time > since for time in signs)
    time = person.activity.get(rule.activity.kind)
    return time is not None and (not rule.activity.within_days or time > since)


def _fits(asked: FieldCondition, contact: Contact, zone: ZoneInfo) -> bool:
    name, values = asked.name, list(asked.values)
    match name:
        case "birthday":
            return bool(contact.birthday) and _is_day(asked.op, contact.birthday, values)
        case "create_time":
            return _is_day(asked.op, _created(contact).astimezone(zone).date().isoformat(), values)
        case "gender":
            gender = Contact.Gender.Name(contact.gender)
            return gender != "GENDER_UNSPECIFIED" if asked.op == Op.IS_SET else gender in values
        case "tags":
            return bool(contact.tags) if asked.op == Op.IS_SET else bool(set(values) & set(contact.tags))
        case "country":
            return asked.op == Op.IS_SET or any(contact.phone.startswith(CALLING_CODES[each]) for each in values)
        case "first_name" | "last_name" | "email":
            return _is_text(asked.op, folded(getattr(contact, name)), [folded(each) for each in values])
        case "phone":
            return _is_text(asked.op, contact.phone, values)
    value: Any = contact.attributes.get(name.removeprefix("attributes."), "") if "." in name else getattr(contact, name)
    if asked.op in (Op.GREATER_THAN, Op.LESS_THAN):
        return _is_number(asked.op, value, Decimal(values[0]))
    return _is_text(asked.op, _lower(value), [_lower(each) for each in values])


def _is_day(op: int, day: str, values: list[str]) -> bool:
    return {
        Op.IS_SET: lambda: True,
        Op.EQUALS: lambda: day == values[0],
        Op.BEFORE: lambda: day < values[0],
        Op.AFTER: lambda: day > values[0],
        Op.BETWEEN: lambda: values[0] <= day <= values[1],
    }[op]()


def _is_text(op: int, text: str, values: list[str]) -> bool:
    return {
        Op.IS_SET: lambda: text != "",
        Op.EQUALS: lambda: text == values[0],
        Op.IN: lambda: text in values,
        Op.CONTAINS: lambda: values[0] in text,
        Op.STARTS_WITH: lambda: text.startswith(values[0]),
        Op.ENDS_WITH: lambda: text.endswith(values[0]),
    }[op]()


def _is_number(op: int, text: str, bound: Decimal) -> bool:
    if not re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", text):
        return False
    number = Decimal(text)
    return number > bound if op == Op.GREATER_THAN else number < bound


def _lower(text: str) -> str:
    """Letter by letter, as PostgreSQL does: a final sigma is a sigma."""
    return "".join(letter.lower() for letter in text)


def _created(contact: Contact) -> datetime:
    return contact.create_time.ToDatetime(tzinfo=UTC)
