"""Credits that are bought by themselves when the balance is low."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    for name in ("top_up_credits", "top_up_monthly_cents_max"):
        op.add_column("spend_limits", sa.Column(name, sa.Integer(), server_default="0", nullable=False))
    epoch = sa.text("'epoch'")
    op.add_column(
        "spend_limits", sa.Column("top_up_time", sa.DateTime(timezone=True), server_default=epoch, nullable=False)
    )
    op.create_index(
        "spend_limits_top_up_idx", "spend_limits", ["top_up_time"], postgresql_where=sa.text("top_up_credits > 0")
    )
    op.add_column("purchases", sa.Column("automatic", sa.Boolean(), server_default="false", nullable=False))
