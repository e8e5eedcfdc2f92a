"""What became of texts, as it was said, until it is taken into the activities."""

import sqlalchemy as sa
from alembic import op

from migrations.policies import tenant_table

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "activity_events",
        sa.Column("id", sa.BIGINT(), sa.Identity(always=False), nullable=False),
        sa.Column("merchant_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("event_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("contact_ids", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    # Ids are random: there is nothing to compress.
    op.execute("ALTER TABLE activity_events ALTER COLUMN contact_ids SET STORAGE EXTERNAL")
    tenant_table("activity_events")
