"""Single texts of which somebody was told that they are queued, before they were paid for: they are not forgotten."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.add_column("singles", sa.Column("is_answered", sa.Boolean(), server_default=sa.false(), nullable=False))
