"""What an import would do, shown before it begins: its columns, its first people, what is wrong with rows."""

from collections.abc import Container, Mapping
from typing import Any

from astronote.contacts.v1.contacts_pb2 import Contact, Import, ImportContactsRequest, ImportReject
from services.contacts.columns import ATTRIBUTE_PREFIX
from services.contacts.importing import Preview, counts
from services.contacts.sheet import Page

CONTACTS_MAX = 20
REJECTS_MAX = 100


def shown(work: Preview, page: Page, created: int, opted_out: Container[str]) -> Import:
    """An import of which so many people of its first page are new. `opted_out` are phones among those shown."""
    people = list(page.people.items())[:CONTACTS_MAX]
    preview = _described(work)
    preview.contacts.extend(_contact(person, is_out=phone in opted_out) for phone, person in people)
    preview.rejects.extend(
        ImportReject(row=each.row, column=each.column, value=each.value, reason=each.reason)
        for each in page.rejects[:REJECTS_MAX]
    )
    counted = counts(page, created, is_update=work["on_duplicate"] == ImportContactsRequest.UPDATE)
    preview.MergeFrom(Import(read_bytes=page.size_bytes, **vars(counted)))
    return preview


def failed(work: Preview, failure: str) -> Import:
    """An import that could not be read from its first row on."""
    preview = _described(work)
    preview.state, preview.failure = Import.FAILED, failure
    return preview


def _described(work: Preview) -> Import:
    names = set(Import.DESCRIPTOR.fields_by_name) - {"columns"}
    described = Import(**{name: work[name] for name in names if work.get(name)})
    for header, field in zip(work["headers"], work["columns"], strict=True):
        described.columns.add(header=header, field=field)
    return described


def _contact(person: Mapping[str, Any], *, is_out: bool) -> Contact:
    """A row's person as the book would have it; of cells that were checked."""
    values = {name: value for name, value in person.items() if value and not name.startswith(ATTRIBUTE_PREFIX)}
    is_out = is_out or values.get("subscription") == "UNSUBSCRIBED"
    values["subscription"] = Contact.UNSUBSCRIBED if is_out else Contact.SUBSCRIBED
    attributes = {
        name.removeprefix(ATTRIBUTE_PREFIX): value
        for name, value in person.items()
        if value and name.startswith(ATTRIBUTE_PREFIX)
    }
    return Contact(**values, attributes=attributes)
