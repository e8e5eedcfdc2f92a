"""Statements read a month of the ledger."""

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_index("journals_create_time_idx", "journals", ["merchant_id", "create_time", "number"])
