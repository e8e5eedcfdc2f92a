"""The schema. Columns are named like the fields of their messages, so that a row is its message."""

from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, BIGINT, JSONB

from astronote.contacts.v1.audience_pb2 import ActivityCondition, Rule
from astronote.contacts.v1.consents_pb2 import Consent
from astronote.contacts.v1.contacts_pb2 import Contact, Import, ImportContactsRequest
from astronote.contacts.v1.privacy_pb2 import Erasure
from kit.rows import DateText, EnumName, MessageJson
from kit.store import kit_tables

metadata = MetaData()
kit_tables(metadata)

AUDIENCE_COLUMNS = ["id", "phone_hash", "subscription", "gender", "birthday", "language", "create_time"]
contacts = Table(
    "contacts",
    metadata,
    # In the order in which lists go through the book.
    Column("merchant_id", Uuid(as_uuid=False), nullable=False),
    Column("id", Uuid(as_uuid=False), nullable=False, server_default=func.gen_random_uuid()),
    Column("phone", Text, nullable=False),
    # Of suppression.py: how suppressions know the phone.
    Column("phone_hash", LargeBinary, nullable=False),
    Column("email", Text, nullable=False),
    Column("first_name", Text, nullable=False),
    Column("last_name", Text, nullable=False),
    Column("gender", EnumName(Contact.Gender), nullable=False),
    Column("birthday", DateText),
    Column("language", Text, nullable=False),
    Column("time_zone", Text, nullable=False),
    Column("tags", ARRAY(Text), nullable=False),
    Column("attributes", JSONB, nullable=False),
    Column("subscription", EnumName(Contact.Subscription), nullable=False),
    # Of search.py: what `q` is looked for in.
    Column("search", Text, nullable=False),
    Column("create_time", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("update_time", DateTime(timezone=True), nullable=False, server_default=func.now()),
    # A search reads the index alone, in the order of the pages.
    PrimaryKeyConstraint("merchant_id", "id", name="contacts_pkey", postgresql_include=["search"]),
    # So do counts and streams by what is most often asked for.
    UniqueConstraint("merchant_id", "phone", name="contacts_phone_key", postgresql_include=AUDIENCE_COLUMNS),
    Index("contacts_tags_idx", "tags", postgresql_using="gin"),
    # Without the id: the rows of an import's page share their time, and stand in it as one entry.
    Index("contacts_create_time_idx", "merchant_id", "create_time"),
)

# Phones that may not be texted, whether or not there is a contact. Outlives the contact.
suppressions = Table(
    "suppressions",
    metadata,
    Column("merchant_id", Uuid(as_uuid=False), primary_key=True),
    Column("phone_hash", LargeBinary, primary_key=True),
    Column("source", Text, nullable=False),
    Column("create_time", DateTime(timezone=True), nullable=False, server_default=func.now()),
)


def _said() -> list[Column[Any]]:
    """What a statement of consent says (ledger.py)."""
    enums = {"event": Consent.Event, "purpose": Consent.Purpose, "legal_basis": Consent.LegalBasis}
    return [
        *(Column(name, EnumName(enum), nullable=False) for name, enum in enums.items()),
        Column("source", Text, nullable=False),
        # Of `wordings`, and what commits to the origin; empty for none.
        *(Column(name, LargeBinary, nullable=False) for name in ("wording_hash", "origin_hash", "people_root")),
        Column("people_count", Integer, nullable=False),
    ]


# Who agreed to what, and who took it back, until it is linked. Not changed, and it leaves for the chain only.
unlinked_consents = Table(
    "unlinked_consents",
    metadata,
    Column("id", BIGINT, Identity(), primary_key=True),
    Column("merchant_id", Uuid(as_uuid=False), nullable=False),
    *_said(),
    # With the origin, where there is one: then there is a salt.
    *(Column(name, Text, nullable=False) for name in ("wording", "ip_address", "user_agent")),
    Column("salt", LargeBinary),
    # Those whom it is about, in the order of their tree; null where there is no contact.
    Column("contact_ids", ARRAY(Uuid(as_uuid=False)), nullable=False),
    Column("phone_hashes", ARRAY(LargeBinary), nullable=False),
    # Not the transaction's time, which may be long before.
    Column("create_time", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
)

# A chain of statements a merchant. The three tables of the ledger are added to and never changed; `consent_origins`
# beside them is what an erasure takes away.
consents = Table(
    "consents",
    metadata,
    Column("merchant_id", Uuid(as_uuid=False), primary_key=True),
    # From 1, without a gap.
    Column("number", Integer, primary_key=True),
    *_said(),
    Column("previous_hash", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("create_time", DateTime(timezone=True), nullable=False),
    # Of `unlinked_consents`, each linked once; none in links from before there was that table.
    Column("statement_id", BIGINT),
    Index("consents_statement_id_idx", "statement_id", unique=True, postgresql_where=text("statement_id IS NOT NULL")),
)

# Whom a statement is about, in the order of its tree.
consent_people = Table(
    "consent_people",
    metadata,
    Column("merchant_id", Uuid(as_uuid=False), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("contact_id", Uuid(as_uuid=False)),
    Column("phone_hash", LargeBinary, nullable=False),
    Index("consent_people_phone_hash_idx", "merchant_id", "phone_hash"),
)

# The words that were agreed to, each once.
wordings = Table(
    "wordings",
    metadata,
    Column("merchant_id", Uuid(as_uuid=False), primary_key=True),
    Column("hash", LargeBinary, primary_key=True),
    Column("text", Text, nullable=False),
)

consent_origins = Table(
    "consent_origins",
    metadata,
    Column("merchant_id", Uuid(as_uuid=False), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("contact_id", Uuid(as_uuid=False)),
    Column("phone_hash", LargeBinary, nullable=False),
    Column("ip_address", Text, nullable=False),
    Column("user_agent", Text, nullable=False),
    Column("salt", LargeBinary, nullable=False),
    Index("consent_origins_phone_hash_idx", "merchant_id", "phone_hash"),
    Index("consent_origins_contact_id_idx", "merchant_id", "contact_id"),
)

# Phones of contacts that were merged into the one with the first phone: their consents are part of its history.
merged_phones = Table(
    "merged_phones",
    metadata,
    Column("merchant_id", Uuid(as_uuid=False), primary_key=True),
    Column("phone_hash", LargeBinary, primary_key=True),
    Column("merged_hash", LargeBinary, primary_key=True),
)

lists = Table(
    "lists",
    metadata,
    Column("merchant_id", Uuid(as_uuid=False), primary_key=True),
    Column("id", Uuid(as_uuid=False), primary_key=True, server_default=func.gen_random_uuid()),
    Column("name", Text, nullable=False),
    Column("create_time", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("update_time", DateTime(timezone=True), nullable=False, server_default=func.now()),
    UniqueConstraint("merchant_id", "name", name="lists_name_key"),
)

# Who is on a list. No foreign keys: at a million rows their checks cost more than the rows; both ends are locked by
# whoever adds, and whoever removes an end removes these.
list_contacts = Table(
    "list_contacts",
    metadata,
    Column("list_id", Uuid(as_uuid=False), primary_key=True),
    Column("contact_id", Uuid(as_uuid=False), primary_key=True),
    Column("merchant_id", Uuid(as_uuid=False), nullable=False),
    Index("list_contacts_contact_id_idx", "contact_id"),
)

segments = Table(
    "segments",
    metadata,
    Column("merchant_id", Uuid(as_uuid=False), primary_key=True),
    Column("id", Uuid(as_uuid=False), primary_key=True, server_default=func.gen_random_uuid()),
    Column("name", Text, nullable=False),
    Column("rule", MessageJson(Rule), nullable=False),
    Column("create_time", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("update_time", DateTime(timezone=True), nullable=False, server_default=func.now()),
    UniqueConstraint("merchant_id", "name", name="segments_name_key"),
)

# When each thing last became of a text to a contact; a contact to whom nothing did has no row. No column of it is in an
# index and a page has room, so that a change is written in place.
ACTIVITIES = {
    ActivityCondition.TEXTED: "text_time",
    ActivityCondition.DELIVERED: "deliver_time",
    ActivityCondition.CLICKED: "click_time",
    ActivityCondition.REDEEMED: "redeem_time",
}
# What became of texts, as it was said: the last word of many is taken into `activities` at a pace of its own.
activity_events = Table(
    "activity_events",
    metadata,
    Column("id", BIGINT, Identity(), primary_key=True),
    Column("merchant_id", Uuid(as_uuid=False), nullable=False),
    Column("kind", EnumName(ActivityCondition.Kind), nullable=False),
    Column("event_time", DateTime(timezone=True), nullable=False),
    # The 16 bytes of each contact's UUID, side by side.
    Column("contact_ids", LargeBinary, nullable=False),
)
activities = Table(
    "activities",
    metadata,
    Column("merchant_id", Uuid(as_uuid=False), primary_key=True),
    Column("contact_id", Uuid(as_uuid=False), primary_key=True),
    *(Column(name, DateTime(timezone=True)) for name in ACTIVITIES.values()),
    postgresql_with={"fillfactor": 70},
)

forms = Table(
    "forms",
    metadata,
    Column("merchant_id", Uuid(as_uuid=False), primary_key=True),
    Column("id", Uuid(as_uuid=False), primary_key=True, server_default=func.gen_random_uuid()),
    # In its address.
    Column("code", Text, nullable=False),
    *(Column(name, Text, nullable=False) for name in ("title", "wording", "language", "list_id")),
    Column("tags", ARRAY(Text), nullable=False),
    Column("double_opt_in", Boolean, nullable=False),
    Column("create_time", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("update_time", DateTime(timezone=True), nullable=False, server_default=func.now()),
    # How often it was filled in within the hour that began then.
    Column("hour_time", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("hour_count", Integer, nullable=False, server_default="0"),
    UniqueConstraint("code", name="forms_code_key"),
)

# Sign-ups whose phone has not confirmed yet, or has lately.
sign_ups = Table(
    "sign_ups",
    metadata,
    Column("merchant_id", Uuid(as_uuid=False), primary_key=True),
    Column("phone", Text, primary_key=True),
    Column("id", Uuid(as_uuid=False), nullable=False),
    # In the link that is texted.
    Column("token", Text, nullable=False),
    Column("form_id", Uuid(as_uuid=False), nullable=False),
    Column("first_name", Text, nullable=False),
    Column("create_time", DateTime(timezone=True), nullable=False, server_default=func.now()),
    # When its text is handed to the sender; none once it was.
    Column("due_time", DateTime(timezone=True)),
    Column("confirm_time", DateTime(timezone=True)),
    UniqueConstraint("token", name="sign_ups_token_key"),
    Index("sign_ups_due_time_idx", "due_time", postgresql_where=text("due_time IS NOT NULL")),
    Index("sign_ups_create_time_idx", "create_time"),
)

# People who are being forgotten; without their phone once they are.
erasures = Table(
    "erasures",
    metadata,
    Column("merchant_id", Uuid(as_uuid=False), primary_key=True),
    Column("contact_id", Uuid(as_uuid=False), primary_key=True),
    Column("phone", Text, nullable=False),
    Column("state", EnumName(Erasure.State), nullable=False),
    # Times that everybody has forgotten the person.
    Column("rounds", SmallInteger, nullable=False, server_default="0"),
    # When the next round begins.
    Column("due_time", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("create_time", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("finish_time", DateTime(timezone=True)),
    Index("erasures_due_time_idx", "due_time", postgresql_where=text("state = 'PENDING'::text")),
)

imports = Table(
    "imports",
    metadata,
    Column("id", Uuid(as_uuid=False), primary_key=True),
    Column("merchant_id", Uuid(as_uuid=False), nullable=False),
    Column("state", EnumName(Import.State), nullable=False),
    *(
        Column(name, Integer, nullable=False, server_default="0")
        for name in ("received", "created", "updated", "skipped", "rejected")
    ),
    Column("failure", Text, nullable=False, server_default=""),
    Column("create_time", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("finish_time", DateTime(timezone=True)),
    Column("on_duplicate", EnumName(ImportContactsRequest.OnDuplicate), nullable=False),
    Column("consent_source", Text, nullable=False),
    Column("consent_wording", Text, nullable=False),
    Column("legal_basis", EnumName(Consent.LegalBasis), nullable=False, server_default="CONSENT"),
    Column("file_name", Text, nullable=False, server_default=""),
    Column("sha256", Text, nullable=False, server_default=""),
    Column("encoding", Text, nullable=False, server_default="utf-8"),
    Column("rows", Integer, nullable=False, server_default="0"),
    Column("list_id", Uuid(as_uuid=False)),
    # The file, as its header says it: the cells, and what they mean. `size_bytes` are those of its rows.
    Column("headers", ARRAY(Text), nullable=False),
    Column("columns", ARRAY(Text), nullable=False),
    Column("delimiter", Text, nullable=False),
    Column("size_bytes", BIGINT, nullable=False),
    # Where the next page begins, and the row before it.
    Column("cursor_bytes", BIGINT, nullable=False),
    Column("cursor_row", Integer, nullable=False),
    # Whose turn it is, and until when; the one whose lease ran out first is next.
    Column("lease_id", Uuid(as_uuid=False)),
    Column("lease_expire_time", DateTime(timezone=True), nullable=False, server_default=func.now()),
    # Turns in a row that ended without a page.
    Column("attempts", SmallInteger, nullable=False, server_default="0"),
    Index(
        "imports_open_idx",
        "lease_expire_time",
        postgresql_where=text("state = ANY (ARRAY['PENDING'::text, 'RUNNING'::text])"),
    ),
    Index("imports_list_idx", "merchant_id", "create_time", "id"),
)

# The file of an import, in pieces of `CHUNK_BYTES`; gone when the import is done.
import_chunks = Table(
    "import_chunks",
    metadata,
    Column("import_id", Uuid(as_uuid=False), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("merchant_id", Uuid(as_uuid=False), nullable=False),
    Column("data", LargeBinary, nullable=False),
    Column("create_time", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

import_rejects = Table(
    "import_rejects",
    metadata,
    Column("import_id", Uuid(as_uuid=False), primary_key=True),
    Column("row", Integer, primary_key=True),
    Column("merchant_id", Uuid(as_uuid=False), nullable=False),
    *(Column(name, Text, nullable=False) for name in ("column", "value", "reason")),
    # The whole row, long cells cut.
    Column("cells", ARRAY(Text), nullable=False, server_default="{}"),
)
