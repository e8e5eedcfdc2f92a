"""Tests and what automations send are campaigns of their own kind; what has ended may be archived."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("campaigns", sa.Column("kind", sa.Text(), server_default="CAMPAIGN", nullable=False))
    op.add_column("campaigns", sa.Column("parent_id", sa.Text(), server_default="", nullable=False))
    op.add_column("campaigns", sa.Column("archive_time", sa.DateTime(timezone=True), nullable=True))
    op.add_column("batches", sa.Column("expedited", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.drop_index("campaigns_merchant_id_number_idx", "campaigns")
    op.create_index("campaigns_merchant_id_kind_number_idx", "campaigns", ["merchant_id", "kind", "number"])
    has_parent = sa.text("parent_id <> ''")
    op.create_index(
        "campaigns_parent_idx", "campaigns", ["merchant_id", "parent_id", "number"], postgresql_where=has_parent
    )
