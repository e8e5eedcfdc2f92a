"""Contacts are listed by when they came."""

from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.create_index("contacts_create_time_idx", "contacts", ["merchant_id", "create_time"])
