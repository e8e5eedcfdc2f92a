"""Credits that expire."""

import sqlalchemy as sa
from alembic import op

from migrations.policies import tenant_table

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "promotions",
        sa.Column("merchant_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("amount", sa.BIGINT(), nullable=False),
        sa.Column("remaining", sa.BIGINT(), nullable=False),
        sa.Column("used", sa.BIGINT(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("expire_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("0 <= remaining AND remaining <= amount", name="promotions_remaining_check"),
        sa.PrimaryKeyConstraint("merchant_id", "id", name="promotions_pkey"),
    )
    op.create_index(
        "promotions_expire_time_idx", "promotions", ["expire_time"], postgresql_where=sa.text("remaining > 0")
    )
    tenant_table("promotions")
