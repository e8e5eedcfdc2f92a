"""What finds the campaigns whose readers have been kept for long enough."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("campaigns", sa.Column("nameless", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    is_named = sa.text("final AND NOT nameless")
    op.create_index("campaigns_named_idx", "campaigns", ["finish_time"], postgresql_where=is_named)
