"""Why the people of an import may be texted."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.add_column("imports", sa.Column("legal_basis", sa.Text(), server_default="CONSENT", nullable=False))
