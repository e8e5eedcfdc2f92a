"""Whose consents are part of whose history since two contacts became one."""

import sqlalchemy as sa
from alembic import op

from migrations.policies import tenant_table

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.create_table(
        "merged_phones",
        sa.Column("merchant_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("phone_hash", sa.LargeBinary(), nullable=False),
        sa.Column("merged_hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "phone_hash", "merged_hash"),
    )
    tenant_table("merged_phones")
