"""A contact as a merchant hands it in: every field checked, in the form in which it is stored."""

from collections.abc import Callable, Collection
from datetime import date
from typing import Any

from astronote.contacts.v1.contacts_pb2 import Contact
from services.contacts import fields
from services.contacts.errors import ContactInvalid

# What a merchant may write; the order is that of the message.
WRITABLE = (
    "phone",
    "email",
    "first_name",
    "last_name",
    "gender",
    "birthday",
    "language",
    "time_zone",
    "tags",
    "attributes",
    "subscription",
)


def values(contact: Contact, paths: Collection[str], today: date) -> dict[str, Any]:
    """Column values of the named fields but the phone. Refuses `ContactInvalid` with the first field that is wrong."""
    checks: dict[str, Callable[[], Any]] = {
        "email": lambda: fields.email(contact.email),
        "first_name": lambda: fields.name(contact.first_name),
        "last_name": lambda: fields.name(contact.last_name),
        "gender": lambda: _known(contact.gender, Contact.Gender.values()),
        "birthday": lambda: fields.birthday(contact.birthday.strip(), today),
        "language": lambda: fields.language(contact.language),
        "time_zone": lambda: fields.time_zone(contact.time_zone),
        "tags": lambda: fields.tags(contact.tags),
        "attributes": lambda: fields.attributes(contact.attributes),
        "subscription": lambda: _known(contact.subscription, (Contact.SUBSCRIBED, Contact.UNSUBSCRIBED)),
    }
    checked = {}
    for name, check in checks.items():
        if name in paths:
            try:
                checked[name] = check()
            except fields.Wrong as wrong:
                raise ContactInvalid(field=f"contact.{name}", problem=wrong.problem) from wrong
    return checked


def _known(number: int, known: Collection[int]) -> int:
    if number not in known:
        raise fields.Wrong(fields.INVALID)
    return number
