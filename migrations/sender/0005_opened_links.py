"""When the link of a message was opened whose fate was unknown."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("messages", sa.Column("link_open_time", sa.DateTime(timezone=True), nullable=True))
