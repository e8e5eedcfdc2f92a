"""What finds texts that have been kept for long enough; a message may be without its phone."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    kept = sa.Column("advance_time", sa.DateTime(timezone=True), server_default=sa.text("now()"))
    op.add_column("batches", kept)
    is_kept = sa.text("state = 'DONE' AND advance_time IS NOT NULL")
    op.create_index("batches_kept_idx", "batches", ["advance_time"], postgresql_where=is_kept)
    op.create_index("inbound_texts_receive_time_idx", "inbound_texts", ["receive_time"])
    op.alter_column("messages", "to", nullable=True)
