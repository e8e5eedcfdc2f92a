"""Schedules, what becomes of long texts, and the texts that templates had before."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.policies import tenant_table

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.add_column("campaigns", sa.Column("on_long_text", sa.Text(), server_default="ALLOW", nullable=False))
    op.add_column("campaigns", sa.Column("template_version", sa.Integer(), server_default="0", nullable=False))
    op.add_column("campaigns", sa.Column("schedule", postgresql.JSONB(), nullable=True))
    for name in ("due_time", "occurrence_time", "missed_time"):
        op.add_column("campaigns", sa.Column(name, sa.DateTime(timezone=True), nullable=True))
    is_occurrence = sa.text("parent_id <> '' AND occurrence_time IS NOT NULL")
    op.create_index(
        "campaigns_occurrence_idx",
        "campaigns",
        ["parent_id", "occurrence_time"],
        unique=True,
        postgresql_where=is_occurrence,
    )
    is_scheduled = sa.text("state = 'SCHEDULED'")
    op.create_index("campaigns_due_time_idx", "campaigns", ["due_time"], postgresql_where=is_scheduled)
    op.create_table(
        "template_versions",
        sa.Column("template_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("merchant_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("update_time", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["template_id"], ["templates.id"], name="template_versions_template_id_fkey", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("template_id", "version"),
    )
    tenant_table("template_versions")
