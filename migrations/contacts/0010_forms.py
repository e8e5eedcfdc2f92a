"""Public forms, and who signs up by them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.policies import tenant_table

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    now = sa.text("now()")

    def time(name: str) -> sa.Column[object]:
        return sa.Column(name, sa.DateTime(timezone=True), server_default=now, nullable=False)

    def texts(*names: str) -> list[sa.Column[object]]:
        return [sa.Column(name, sa.Text(), nullable=False) for name in names]

    def uuid(name: str) -> sa.Column[object]:
        return sa.Column(name, sa.Uuid(as_uuid=False), nullable=False)

    op.create_table(
        "forms",
        uuid("merchant_id"),
        sa.Column("id", sa.Uuid(as_uuid=False), server_default=sa.text("gen_random_uuid()"), nullable=False),
        *texts("code", "title", "wording", "language", "list_id"),
        sa.Column("tags", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("double_opt_in", sa.Boolean(), nullable=False),
        time("create_time"),
        time("update_time"),
        time("hour_time"),
        sa.Column("hour_count", sa.Integer(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "id", name="forms_pkey"),
        sa.UniqueConstraint("code", name="forms_code_key"),
    )
    op.create_table(
        "sign_ups",
        uuid("merchant_id"),
        *texts("phone"),
        uuid("id"),
        *texts("token"),
        uuid("form_id"),
        *texts("first_name"),
        time("create_time"),
        sa.Column("due_time", sa.DateTime(timezone=True), nullable=True),
        sa.Column("confirm_time", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("merchant_id", "phone", name="sign_ups_pkey"),
        sa.UniqueConstraint("token", name="sign_ups_token_key"),
    )
    op.create_index("sign_ups_due_time_idx", "sign_ups", ["due_time"], postgresql_where=sa.text("due_time IS NOT NULL"))
    op.create_index("sign_ups_create_time_idx", "sign_ups", ["create_time"])
    tenant_table("forms")
    tenant_table("sign_ups")
