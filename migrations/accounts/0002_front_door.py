"""API keys, operators, counts of failed logins, and states of the signing keys."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.policies import pipeline_table, tenant_table

revision = "0002"
down_revision = "0001"

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("merchant_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("scopes", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("key_hash", sa.LargeBinary(), nullable=False),
        sa.Column("create_time", TIME, nullable=False),
        sa.Column("last_use_time", TIME, nullable=True),
        sa.CheckConstraint("length(key_hash) = 32", name="api_keys_hash_check"),
        sa.ForeignKeyConstraint(["merchant_id"], ["merchants.id"], name="api_keys_merchant_fkey"),
        sa.PrimaryKeyConstraint("id", name="api_keys_pkey"),
        sa.UniqueConstraint("key_hash", name="api_keys_hash_key"),
    )
    op.create_index("api_keys_merchant_idx", "api_keys", ["merchant_id", "id"], unique=False)
    op.create_table(
        "operators",
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("create_time", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="operators_pkey"),
        sa.UniqueConstraint("email", name="operators_email_key"),
    )
    op.create_table(
        "login_counts",
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("failures", sa.Double(), nullable=False),
        sa.Column("time", TIME, nullable=False),
        sa.Column("next_time", TIME, nullable=False),
        sa.Column("known", sa.Boolean(), nullable=False),
        sa.Column("expire_time", TIME, nullable=False),
        sa.PrimaryKeyConstraint("key", name="login_counts_pkey"),
    )
    op.create_index("login_counts_expire_idx", "login_counts", ["expire_time"], unique=False)
    tenant_table("api_keys")
    pipeline_table("operators")
    pipeline_table("login_counts")
    _give_states_to_the_signing_keys()


def _give_states_to_the_signing_keys() -> None:
    """The newest one was the one that signed."""
    op.add_column("signing_keys", sa.Column("state", sa.Text(), nullable=True))
    op.add_column("signing_keys", sa.Column("active_time", TIME, nullable=True))
    # The owner is held to row-level security too, and no policy lets it see this table.
    op.execute("ALTER TABLE signing_keys NO FORCE ROW LEVEL SECURITY")
    op.execute(
        """UPDATE signing_keys SET active_time = create_time, state = 'RETIRED',
               expire_time = coalesce(expire_time, now() + interval '1 hour')"""
    )
    op.execute(
        """UPDATE signing_keys SET state = 'ACTIVE', expire_time = NULL
           WHERE kid = (SELECT kid FROM signing_keys WHERE expire_time > now() ORDER BY create_time DESC LIMIT 1)"""
    )
    op.execute("ALTER TABLE signing_keys FORCE ROW LEVEL SECURITY")
    op.alter_column("signing_keys", "state", nullable=False)
    op.create_check_constraint(
        "signing_keys_state_check", "signing_keys", "state = ANY (ARRAY['NEXT'::text, 'ACTIVE'::text, 'RETIRED'::text])"
    )
    op.create_index(
        "signing_keys_state_idx",
        "signing_keys",
        ["state"],
        unique=True,
        postgresql_where=sa.text("state <> 'RETIRED'::text"),
    )
