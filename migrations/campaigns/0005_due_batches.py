"""When a batch goes out, and by whose clock."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("batches", sa.Column("due_time", sa.DateTime(timezone=True), nullable=True))
    op.add_column("batches", sa.Column("time_zone", sa.Text(), server_default="", nullable=False))
