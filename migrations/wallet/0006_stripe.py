"""What is bought at Stripe: purchases, customers, the journal of Stripe's events; and credits that are owed."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.policies import pipeline_table, tenant_table

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    _debts()
    op.execute("CREATE SEQUENCE looks")
    op.add_column("subscriptions", sa.Column("stripe_id", sa.Text()))
    op.add_column("subscriptions", _time("period_start_time", nullable=True))
    op.add_column("subscriptions", sa.Column("next_plan", sa.Text(), server_default="", nullable=False))
    op.add_column("subscriptions", sa.Column("ends_with_period", sa.Boolean(), server_default="false", nullable=False))
    op.add_column("subscriptions", sa.Column("look", sa.BIGINT(), server_default="0", nullable=False))
    free = sa.Column(
        "change_expire_time", sa.DateTime(timezone=True), server_default=sa.text("'epoch'"), nullable=False
    )
    op.add_column("subscriptions", free)
    op.create_table(
        "customers",
        sa.Column("merchant_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", name="customers_pkey"),
    )
    _purchases()
    _events()
    for table in ("customers", "purchases"):
        tenant_table(table)
    for table in ("stripe_events", "stripe_repairs"):
        pipeline_table(table)


def _debts() -> None:
    """Whatever comes in pays what is owed, so that one of the two is always nothing."""
    op.add_column("wallets", sa.Column("debt", sa.BIGINT(), server_default="0", nullable=False))
    op.drop_constraint("wallets_sum_check", "wallets")
    op.create_check_constraint("wallets_sum_check", "wallets", "available + held + spent = granted + purchased + debt")
    op.create_check_constraint("wallets_debt_check", "wallets", "debt = 0 OR (debt > 0 AND available = 0)")
    op.drop_constraint("entries_account_check", "entries")
    accounts = "'available', 'held', 'spent', 'granted', 'purchased', 'debt'"
    op.create_check_constraint("entries_account_check", "entries", f"account IN ({accounts})")


def _purchases() -> None:
    numbers = ("refunded_cents", "disputed_cents", "gained", "refunded", "disputed")
    op.create_table(
        "purchases",
        sa.Column("merchant_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("number", sa.BIGINT(), sa.Identity(always=False), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("item", sa.Text(), nullable=False),
        sa.Column("credits", sa.BIGINT(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("total_cents", sa.BIGINT(), nullable=False),
        sa.Column("vat_cents", sa.BIGINT(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        *(sa.Column(name, sa.BIGINT(), server_default="0", nullable=False) for name in numbers),
        sa.Column("session", postgresql.JSONB()),
        sa.Column("session_id", sa.Text()),
        sa.Column("url", sa.Text(), server_default="", nullable=False),
        sa.Column("look", sa.BIGINT(), server_default="0", nullable=False),
        _time("create_time"),
        _time("pay_time", nullable=True),
        sa.CheckConstraint("credits >= 0 AND total_cents >= 0", name="purchases_positive_check"),
        sa.CheckConstraint(
            "refunded >= 0 AND disputed >= 0 AND refunded + disputed <= gained AND gained <= credits",
            name="purchases_gained_check",
        ),
        sa.PrimaryKeyConstraint("merchant_id", "id", name="purchases_pkey"),
    )
    op.create_index("purchases_number_idx", "purchases", ["merchant_id", "number"], unique=True)


def _events() -> None:
    op.create_table(
        "stripe_events",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("number", sa.BIGINT(), sa.Identity(always=False), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("error", sa.Text(), server_default="", nullable=False),
        _time("create_time"),
        _time("due_time"),
        _time("handle_time", nullable=True),
        sa.PrimaryKeyConstraint("id", name="stripe_events_pkey"),
    )
    op.create_index("stripe_events_number_idx", "stripe_events", ["number"], unique=True)
    op.create_index("stripe_events_create_time_idx", "stripe_events", ["create_time"])
    waiting = sa.text("state = 'PENDING'")
    op.create_index("stripe_events_due_time_idx", "stripe_events", ["due_time"], postgresql_where=waiting)
    op.create_table(
        "stripe_repairs",
        sa.Column("name", sa.Text(), nullable=False),
        _time("end_time"),
        _time("due_time"),
        sa.PrimaryKeyConstraint("name", name="stripe_repairs_pkey"),
    )


def _time(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)
