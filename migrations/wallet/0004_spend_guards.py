"""What bounds spending: the merchants' limits, and the policy for all of them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.policies import shared_table, tenant_table

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    codes = postgresql.ARRAY(sa.Text())
    op.create_table(
        "spend_limits",
        sa.Column("merchant_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("daily_credits_max", sa.Integer(), nullable=False),
        sa.Column("calling_codes", codes, nullable=False),
        sa.Column("low_balance_credits", sa.Integer(), nullable=False),
        sa.Column("time_zone", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("used", sa.BIGINT(), nullable=False),
        sa.CheckConstraint("daily_credits_max >= 0 AND low_balance_credits >= 0", name="spend_limits_positive_check"),
        sa.PrimaryKeyConstraint("merchant_id", name="spend_limits_pkey"),
    )
    op.create_table(
        "spend_policy",
        sa.Column("id", sa.Integer(), server_default="1", nullable=False),
        sa.Column("braked", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("calling_codes", codes, nullable=False),
        sa.Column("update_time", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("id = 1", name="spend_policy_one_check"),
        sa.PrimaryKeyConstraint("id", name="spend_policy_pkey"),
    )
    # Before it is secured: the owner, who migrates, is held to row-level security too.
    op.execute("INSERT INTO spend_policy (braked, reason, calling_codes, update_time) VALUES (false, '', '{}', now())")
    tenant_table("spend_limits")
    shared_table("spend_policy")
