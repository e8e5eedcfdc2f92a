"""The ledger: wallets, holds, journals and entries; and who has which plan."""

import sqlalchemy as sa
from alembic import op

from migrations.policies import kit_tables, tenant_table

revision = "0001"
down_revision = None


def upgrade() -> None:
    kit_tables()
    op.create_table(
        "wallets",
        sa.Column("merchant_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("available", sa.BIGINT(), server_default="0", nullable=False),
        sa.Column("held", sa.BIGINT(), server_default="0", nullable=False),
        sa.Column("spent", sa.BIGINT(), server_default="0", nullable=False),
        sa.Column("granted", sa.BIGINT(), server_default="0", nullable=False),
        sa.Column("purchased", sa.BIGINT(), server_default="0", nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("available + held + spent = granted + purchased", name="wallets_sum_check"),
        sa.CheckConstraint("available >= 0", name="wallets_available_check"),
        sa.CheckConstraint("held >= 0", name="wallets_held_check"),
        sa.PrimaryKeyConstraint("merchant_id", name="wallets_pkey"),
    )
    op.create_table(
        "holds",
        sa.Column("merchant_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("number", sa.BIGINT(), sa.Identity(always=False), nullable=False),
        sa.Column("amount", sa.BIGINT(), nullable=False),
        sa.Column("captured", sa.BIGINT(), server_default="0", nullable=False),
        sa.Column("released", sa.BIGINT(), server_default="0", nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("state <> 'CLOSED' OR captured + released = amount", name="holds_closed_check"),
        sa.CheckConstraint("amount > 0 AND captured >= 0 AND released >= 0", name="holds_positive_check"),
        sa.CheckConstraint("captured + released <= amount", name="holds_exceeded_check"),
        sa.PrimaryKeyConstraint("merchant_id", "id", name="holds_pkey"),
    )
    op.create_index("holds_number_idx", "holds", ["merchant_id", "number"], unique=True)
    op.create_table(
        "journals",
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("merchant_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("number", sa.BIGINT(), sa.Identity(always=False), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("request_hash", sa.LargeBinary(), nullable=False),
        sa.Column("answer", sa.LargeBinary(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("hold_id", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["merchant_id", "hold_id"], ["holds.merchant_id", "holds.id"], name="journals_hold_fkey"
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name="journals_pkey"),
        sa.UniqueConstraint("merchant_id", "key", name="journals_key_key"),
    )
    op.create_index("journals_number_idx", "journals", ["merchant_id", "number"], unique=True)
    op.create_table(
        "entries",
        sa.Column("merchant_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("journal_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("amount", sa.BIGINT(), nullable=False),
        sa.CheckConstraint(
            "account IN ('available', 'held', 'spent', 'granted', 'purchased')", name="entries_account_check"
        ),
        sa.CheckConstraint("amount <> 0", name="entries_amount_check"),
        sa.ForeignKeyConstraint(
            ["merchant_id", "journal_id"], ["journals.merchant_id", "journals.id"], name="entries_journal_fkey"
        ),
        sa.PrimaryKeyConstraint("merchant_id", "journal_id", "account", name="entries_pkey"),
    )
    op.create_table(
        "subscriptions",
        sa.Column("merchant_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("plan", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("period_end_time", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("merchant_id", name="subscriptions_pkey"),
    )
    for table in ("wallets", "holds", "journals", "entries", "subscriptions"):
        tenant_table(table)
    _append_only()
    _balanced()


def _append_only() -> None:
    """For every role, the owner and a replica's among them."""
    op.execute("""
        CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'the ledger is append-only: no % of %', TG_OP, TG_TABLE_NAME
                USING ERRCODE = 'integrity_constraint_violation';
        END $$
    """)
    for table in ("journals", "entries"):
        op.execute(f"""
            CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}
            FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
        """)
        op.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER append_only")


def _balanced() -> None:
    """A journal's entries come in one statement, so that it is looked at once and is whole at every instant."""
    op.execute("""
        CREATE FUNCTION refuse_unbalanced() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF EXISTS (SELECT FROM added GROUP BY merchant_id, journal_id HAVING sum(amount) <> 0) THEN
                RAISE EXCEPTION 'the entries of a journal sum to zero' USING ERRCODE = 'check_violation';
            END IF;
            RETURN NULL;
        END $$
    """)
    op.execute("""
        CREATE TRIGGER balanced AFTER INSERT ON entries REFERENCING NEW TABLE AS added
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_unbalanced()
    """)
    op.execute("ALTER TABLE entries ENABLE ALWAYS TRIGGER balanced")
