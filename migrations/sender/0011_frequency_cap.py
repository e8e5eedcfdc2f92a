"""Whoever has had as many texts as the merchant allows is left out of an attempt."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    indexes = sa.Column("capped_indexes", postgresql.ARRAY(sa.Integer()), server_default="{}", nullable=False)
    op.add_column("attempts", indexes)
    op.add_column("attempts", sa.Column("contact_ids", sa.LargeBinary(), nullable=True))
    is_capped = sa.text("contact_ids IS NOT NULL")
    op.create_index("attempts_contact_ids_idx", "attempts", ["merchant_id"], postgresql_where=is_capped)
