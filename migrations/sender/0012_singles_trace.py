"""A single text goes to the provider in the trace of the request that asked for it."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.add_column("singles", sa.Column("traceparent", sa.Text(), server_default="", nullable=False))
