"""What is said of consents waits in a table of its own for its link: a merchant's contacts are made side by side."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.policies import tenant_table

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    # Links of the release before, which makes them at once, have none.
    op.add_column("consents", sa.Column("statement_id", sa.BIGINT(), nullable=True))
    op.create_index(
        "consents_statement_id_idx",
        "consents",
        ["statement_id"],
        unique=True,
        postgresql_where=sa.text("statement_id IS NOT NULL"),
    )
    _table()
    tenant_table("unlinked_consents")
    op.execute("""
        CREATE TRIGGER append_only BEFORE UPDATE OR TRUNCATE ON unlinked_consents
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
    """)
    # Scalar, so that each is looked up by itself: docs/adr/0010.
    op.execute("""
        CREATE FUNCTION refuse_loss() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF EXISTS (
                SELECT FROM gone WHERE (
                    SELECT true FROM consents
                    WHERE consents.statement_id = gone.id AND consents.merchant_id = gone.merchant_id
                      AND consents.people_root = gone.people_root
                ) IS NOT TRUE
            ) THEN
                RAISE EXCEPTION 'the ledger is append-only: no statement goes but into its link'
                    USING ERRCODE = 'integrity_constraint_violation';
            END IF;
            RETURN NULL;
        END $$
    """)
    op.execute("""
        CREATE TRIGGER linked AFTER DELETE ON unlinked_consents REFERENCING OLD TABLE AS gone
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_loss()
    """)
    for trigger in ("append_only", "linked"):
        op.execute(f"ALTER TABLE unlinked_consents ENABLE ALWAYS TRIGGER {trigger}")


def _table() -> None:
    def texts(*names: str) -> list[sa.Column[Any]]:
        return [sa.Column(name, sa.Text(), nullable=False) for name in names]

    def raws(*names: str) -> list[sa.Column[Any]]:
        return [sa.Column(name, sa.LargeBinary(), nullable=False) for name in names]

    op.create_table(
        "unlinked_consents",
        sa.Column("id", sa.BIGINT(), sa.Identity(always=False), primary_key=True),
        sa.Column("merchant_id", sa.Uuid(as_uuid=False), nullable=False),
        *texts("event", "purpose", "legal_basis", "source", "wording"),
        *raws("wording_hash", "origin_hash"),
        *texts("ip_address", "user_agent"),
        sa.Column("salt", sa.LargeBinary(), nullable=True),
        sa.Column("people_count", sa.Integer(), nullable=False),
        *raws("people_root"),
        sa.Column("contact_ids", postgresql.ARRAY(sa.Uuid(as_uuid=False)), nullable=False),
        sa.Column("phone_hashes", postgresql.ARRAY(sa.LargeBinary()), nullable=False),
        sa.Column(
            "create_time", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
    )
    for column in ("contact_ids", "phone_hashes"):
        op.execute(f"ALTER TABLE unlinked_consents ALTER COLUMN {column} SET STORAGE EXTERNAL")
