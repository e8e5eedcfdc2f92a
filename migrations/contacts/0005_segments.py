"""Segments, activity, and the indexes that audiences and searches read instead of the book."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.policies import tenant_table

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "segments",
        sa.Column("merchant_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("id", sa.Uuid(as_uuid=False), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("rule", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("update_time", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "id"),
        sa.UniqueConstraint("merchant_id", "name", name="segments_name_key"),
    )
    op.create_table(
        "activities",
        sa.Column("merchant_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("contact_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("text_time", sa.DateTime(timezone=True)),
        sa.Column("deliver_time", sa.DateTime(timezone=True)),
        sa.Column("click_time", sa.DateTime(timezone=True)),
        sa.Column("redeem_time", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("merchant_id", "contact_id"),
        postgresql_with={"fillfactor": 70},
    )
    tenant_table("segments")
    tenant_table("activities")
    op.execute("ALTER TABLE contacts DROP CONSTRAINT contacts_pkey, ADD PRIMARY KEY (merchant_id, id) INCLUDE (search)")
    op.execute(
        "ALTER TABLE contacts DROP CONSTRAINT contacts_phone_key,"
        " ADD CONSTRAINT contacts_phone_key UNIQUE (merchant_id, phone)"
        " INCLUDE (id, phone_hash, subscription, gender, birthday, language, create_time)"
    )
    op.create_index("contacts_tags_idx", "contacts", ["tags"], postgresql_using="gin")
