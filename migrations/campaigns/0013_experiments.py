"""Several texts side by side, and people who get none."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.policies import tenant_table

revision = "0013"
down_revision = "0012"

ID = sa.Uuid(as_uuid=False)


def upgrade() -> None:
    op.add_column("campaigns", sa.Column("experiment", postgresql.JSONB(), nullable=True))
    recipients = sa.Column("variant_recipients", postgresql.JSONB(), server_default="{}", nullable=False)
    op.add_column("campaigns", recipients)
    op.create_table(
        "hold_outs",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), primary_key=True),
        sa.Column("merchant_id", ID, nullable=False),
        sa.Column("campaign_id", ID, nullable=False),
        sa.Column("texted_ids", sa.LargeBinary(), nullable=False),
        sa.Column("held_out_ids", sa.LargeBinary(), nullable=False),
    )
    op.create_index("hold_outs_campaign_id_idx", "hold_outs", ["campaign_id"])
    op.create_table(
        "conversions",
        sa.Column("campaign_id", ID, primary_key=True),
        sa.Column("contact_id", ID, primary_key=True),
        sa.Column("merchant_id", ID, nullable=False),
        sa.Column("held_out", sa.Boolean(), nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
    )
    for table in ("hold_outs", "conversions"):
        tenant_table(table)
