"""Lists, and who is on them."""

import sqlalchemy as sa
from alembic import op

from migrations.policies import tenant_table

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "lists",
        sa.Column("merchant_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("id", sa.Uuid(as_uuid=False), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("update_time", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "id"),
        sa.UniqueConstraint("merchant_id", "name", name="lists_name_key"),
    )
    op.create_table(
        "list_contacts",
        sa.Column("list_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("contact_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("merchant_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.PrimaryKeyConstraint("list_id", "contact_id"),
    )
    op.create_index("list_contacts_contact_id_idx", "list_contacts", ["contact_id"])
    tenant_table("lists")
    tenant_table("list_contacts")
