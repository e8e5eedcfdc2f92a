"""What an import says of its file, and whole rows beside the reasons for which they were rejected."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    for name, default in (("file_name", ""), ("sha256", ""), ("encoding", "utf-8")):
        op.add_column("imports", sa.Column(name, sa.Text(), server_default=default, nullable=False))
    op.add_column("imports", sa.Column("rows", sa.Integer(), server_default="0", nullable=False))
    cells = sa.Column("cells", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False)
    op.add_column("import_rejects", cells)
    op.create_index("imports_list_idx", "imports", ["merchant_id", "create_time", "id"])
