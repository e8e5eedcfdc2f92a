"""How often a merchant's customers are texted at the most."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("merchants", sa.Column("frequency_cap", postgresql.JSONB(), nullable=True))
