"""An operator may hold all submissions."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.add_column("routes", sa.Column("is_drained", sa.Boolean(), server_default=sa.false(), nullable=False))
