"""People who are being forgotten."""

import sqlalchemy as sa
from alembic import op

from migrations.policies import tenant_table

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    now = sa.text("now()")
    op.create_table(
        "erasures",
        sa.Column("merchant_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("contact_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("phone", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("rounds", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("due_time", sa.DateTime(timezone=True), server_default=now, nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), server_default=now, nullable=False),
        sa.Column("finish_time", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("merchant_id", "contact_id", name="erasures_pkey"),
    )
    op.create_index(
        "erasures_due_time_idx", "erasures", ["due_time"], postgresql_where=sa.text("state = 'PENDING'::text")
    )
    tenant_table("erasures")
