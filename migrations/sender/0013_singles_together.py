"""Single texts that come together are one batch: its row knows the ids of all their requests."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.add_column("singles", sa.Column("request_ids", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False))
