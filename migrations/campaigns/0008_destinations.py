"""How the phones of a campaign begin, which the wallet is told when its credits are held."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    destinations = sa.Column("destinations", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False)
    op.add_column("campaigns", destinations)
