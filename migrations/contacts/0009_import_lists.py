"""An import may bring its people onto a list."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.add_column("imports", sa.Column("list_id", sa.Uuid(as_uuid=False), nullable=True))
