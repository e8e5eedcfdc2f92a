"""Of two contacts that are the same person, one: what the one that stays takes from the other."""

from datetime import UTC
from typing import Any

from astronote.contacts.v1.contacts_pb2 import Contact
from services.contacts import fields
from services.contacts.errors import ContactInvalid

FILLED = ("email", "first_name", "last_name", "gender", "birthday", "language", "time_zone")


def merged(stays: Contact, other: Contact) -> dict[str, Any]:
    """Column values of the one that stays. Refuses `ContactInvalid` where it would have too much."""
    values: dict[str, Any] = {name: getattr(stays, name) or getattr(other, name) for name in FILLED}
    try:
        values["tags"] = fields.tags([*stays.tags, *other.tags])
        values["attributes"] = fields.attributes({**other.attributes, **stays.attributes})
    except fields.Wrong as wrong:
        raise ContactInvalid(field="other_id", problem=wrong.problem) from wrong
    is_out = Contact.UNSUBSCRIBED in (stays.subscription, other.subscription)
    values["subscription"] = Contact.UNSUBSCRIBED if is_out else Contact.SUBSCRIBED
    values["create_time"] = min(each.create_time.ToDatetime(tzinfo=UTC) for each in (stays, other))
    return values
