"""What customers text, whom it is for, and the numbers that merchants text from."""

import sqlalchemy as sa
from alembic import op

from migrations.policies import pipeline_table, tenant_table

revision = "0007"
down_revision = "0006"


def _time(name: str, *, nullable: bool = False, default: str = "") -> "sa.Column[object]":
    return sa.Column(
        name, sa.DateTime(timezone=True), nullable=nullable, server_default=sa.text(default) if default else None
    )


def _texts(*names: str) -> "list[sa.Column[str]]":
    return [sa.Column(name, sa.Text(), nullable=False) for name in names]


def upgrade() -> None:
    op.create_table(
        "sender_numbers",
        *_texts("number"),
        sa.Column("merchant_id", sa.Uuid(as_uuid=False), nullable=False),
        _time("use_time", default="now()"),
        sa.PrimaryKeyConstraint("number", "merchant_id"),
    )
    op.create_table(
        "arrivals",
        sa.Column("key", sa.LargeBinary(), nullable=False),
        *_texts("phone", "to", "text", "kind"),
        _time("receive_time"),
        _time("look_time", nullable=True),
        sa.PrimaryKeyConstraint("key"),
    )
    looked_for = sa.text("look_time IS NOT NULL")
    op.create_index("arrivals_look_time_idx", "arrivals", ["look_time"], postgresql_where=looked_for)
    op.create_index("arrivals_receive_time_idx", "arrivals", ["receive_time"])
    op.create_table(
        "inbound_texts",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("merchant_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        *_texts("phone", "to", "text", "kind", "state"),
        sa.Column("opt_out", sa.Boolean(), server_default=sa.false(), nullable=False),
        _time("receive_time"),
        _time("finish_time", nullable=True),
        _time("due_time", default="now()"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("inbound_texts_key_key", "inbound_texts", ["key", "merchant_id"], unique=True)
    op.create_index("inbound_texts_merchant_id_id_idx", "inbound_texts", ["merchant_id", "id"])
    op.create_index("inbound_texts_phone_idx", "inbound_texts", ["merchant_id", "phone", "id"])
    pending = sa.text("state = 'PENDING'")
    op.create_index("inbound_texts_due_time_idx", "inbound_texts", ["due_time"], postgresql_where=pending)
    pipeline_table("arrivals")
    tenant_table("sender_numbers")
    tenant_table("inbound_texts")
