"""Automations, and to whom their triggers happened."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.policies import tenant_table

revision = "0009"
down_revision = "0008"


def time(name: str, default: str | None = None) -> sa.Column[object]:
    server_default = sa.text(default) if default else None
    return sa.Column(name, sa.DateTime(timezone=True), server_default=server_default, nullable=default is None)


def upgrade() -> None:
    op.create_table(
        "automations",
        sa.Column("merchant_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("trigger", postgresql.JSONB(), nullable=False),
        sa.Column("conditions", postgresql.JSONB(), nullable=True),
        sa.Column("repeat", sa.Text(), nullable=False),
        sa.Column("delay_minutes", sa.Integer(), nullable=False),
        sa.Column("daily_time", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("sender_name", sa.Text(), nullable=False),
        sa.Column("offer_link", sa.Boolean(), nullable=False),
        sa.Column("offer", postgresql.JSONB(), nullable=True),
        sa.Column("track_links", sa.Boolean(), nullable=False),
        time("create_time", "now()"),
        time("update_time", "now()"),
        time("run_time"),
        sa.Column("lease_id", sa.Text(), server_default="", nullable=False),
        time("lease_expire_time", "'epoch'"),
        sa.PrimaryKeyConstraint("merchant_id", "id"),
    )
    op.create_index(
        "automations_run_time_idx", "automations", ["run_time"], postgresql_where=sa.text("run_time IS NOT NULL")
    )
    op.create_table(
        "enrolments",
        sa.Column("merchant_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("automation_id", sa.Text(), nullable=False),
        sa.Column("contact_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("occasion", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="WAITING", nullable=False),
        sa.Column("skip_reason", sa.Text(), server_default="", nullable=False),
        sa.Column("due_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("campaign_id", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("lease_id", sa.Text(), server_default="", nullable=False),
        time("lease_expire_time", "'epoch'"),
        time("create_time", "now()"),
        sa.PrimaryKeyConstraint("merchant_id", "automation_id", "contact_id", "occasion"),
        sa.CheckConstraint("state IN ('WAITING', 'SENT', 'SKIPPED')", name="enrolments_state_check"),
    )
    is_waiting = sa.text("state = 'WAITING'")
    op.create_index("enrolments_due_time_idx", "enrolments", ["due_time"], postgresql_where=is_waiting)
    by_time = ["merchant_id", "automation_id", "create_time"]
    op.create_index("enrolments_create_time_idx", "enrolments", by_time)
    tenant_table("automations")
    tenant_table("enrolments")
