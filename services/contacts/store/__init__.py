"""All SQL of contacts."""

from services.contacts.store.activities import ActivityStatements
from services.contacts.store.audiences import AudienceStatements
from services.contacts.store.contacts import ContactStatements
from services.contacts.store.forms import FormStatements
from services.contacts.store.imports import ImportStatements
from services.contacts.store.lists import ListStatements
from services.contacts.store.merging import MergeStatements
from services.contacts.store.privacy import PrivacyStatements
from services.contacts.store.segments import SegmentStatements
from services.contacts.store.suppressions import SuppressionStatements


class ContactsStore(
    ContactStatements,
    ActivityStatements,
    AudienceStatements,
    ImportStatements,
    FormStatements,
    ListStatements,
    MergeStatements,
    SegmentStatements,
    SuppressionStatements,
    PrivacyStatements,
):
    """Every statement, in one transaction."""
