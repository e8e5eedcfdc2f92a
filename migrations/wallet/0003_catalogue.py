"""The catalogue: packages, plans, the price of a top-up, VAT; and who changed it. It begins with what is sold today."""

import sqlalchemy as sa
from alembic import op

from migrations.policies import pipeline_table, shared_table

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "packages",
        *_columns(sa.Text(), "id", "name"),
        *_columns(sa.Integer(), "credits"),
        *_columns(sa.Text(), "currency"),
        *_columns(sa.Integer(), "price_cents"),
        *_listing(),
        sa.CheckConstraint("credits > 0 AND price_cents > 0", name="packages_positive_check"),
        sa.PrimaryKeyConstraint("id", name="packages_pkey"),
    )
    op.create_table(
        "plans",
        *_columns(sa.Text(), "id", "name", "interval"),
        sa.Column("credits", sa.Integer(), server_default="0", nullable=False),
        *_columns(sa.Text(), "currency"),
        *_columns(sa.Integer(), "price_cents"),
        *_listing(),
        sa.CheckConstraint("credits >= 0 AND price_cents > 0", name="plans_positive_check"),
        sa.PrimaryKeyConstraint("id", name="plans_pkey"),
    )
    op.create_table(
        "top_up_prices",
        *_columns(sa.Text(), "currency"),
        *_columns(sa.Integer(), "credit_micros", "credits_min", "credits_max"),
        sa.CheckConstraint("credit_micros > 0", name="top_up_prices_positive_check"),
        sa.CheckConstraint("1 <= credits_min AND credits_min <= credits_max", name="top_up_prices_range_check"),
        sa.PrimaryKeyConstraint("currency", name="top_up_prices_pkey"),
    )
    op.create_table(
        "vat_rates",
        *_columns(sa.Text(), "country"),
        *_columns(sa.Integer(), "basis_points"),
        sa.CheckConstraint("basis_points BETWEEN 0 AND 10000", name="vat_rates_range_check"),
        sa.PrimaryKeyConstraint("country", name="vat_rates_pkey"),
    )
    op.create_table(
        "catalogue_changes",
        sa.Column("number", sa.BIGINT(), sa.Identity(always=False), nullable=False),
        *_columns(sa.Text(), "operator_id", "resource", "before", "after"),
        sa.Column("change_time", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("number", name="catalogue_changes_pkey"),
    )
    _seed()
    for table in ("packages", "plans", "top_up_prices", "vat_rates"):
        shared_table(table)
    pipeline_table("catalogue_changes")
    op.execute("""
        CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON catalogue_changes
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
    """)


def _columns(kind: sa.types.TypeEngine[object], *names: str) -> list[sa.Column[object]]:
    return [sa.Column(name, kind, nullable=False) for name in names]


def _listing() -> list[sa.Column[object]]:
    return [
        sa.Column("stripe_price_id", sa.Text(), server_default="", nullable=False),
        sa.Column("listed", sa.Boolean(), server_default="false", nullable=False),
    ]


def _seed() -> None:
    """Before the tables are secured: the owner, who migrates, is held to row-level security too."""
    op.execute("""
        INSERT INTO plans (id, name, interval, credits, currency, price_cents, listed) VALUES
            ('starter', 'Starter', 'MONTH', 100, 'EUR', 4000, true),
            ('pro', 'Pro', 'YEAR', 500, 'EUR', 24000, true)
    """)
    op.execute("INSERT INTO top_up_prices VALUES ('EUR', 45000, 1, 1000000)")
    op.execute("INSERT INTO vat_rates VALUES ('GR', 2400), ('ZZ', 2400)")
    # A little under what the same credits cost one by one, with VAT.
    op.execute("""
        INSERT INTO packages (id, name, credits, currency, price_cents, listed) VALUES
            ('credits-1000', '1,000 credits', 1000, 'EUR', 5000, true),
            ('credits-5000', '5,000 credits', 5000, 'EUR', 24000, true),
            ('credits-20000', '20,000 credits', 20000, 'EUR', 90000, true)
    """)
