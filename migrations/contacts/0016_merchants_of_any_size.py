"""No statistics of whose a row is: the planner takes a merchant or a list for a two-hundredth of a table, on the
first day and in the tenth year (docs/adr/0043). Before PostgreSQL 18, what an earlier ANALYZE has found stays.
"""

from alembic import op

revision = "0016"
down_revision = "0015"

OWNED = {
    **dict.fromkeys(("contacts", "suppressions", "activities", "consents", "consent_people"), "merchant_id"),
    "list_contacts": "list_id",
}


def upgrade() -> None:
    for table, owner in OWNED.items():
        op.execute(f"ALTER TABLE {table} ALTER COLUMN {owner} SET STATISTICS 0")
        if op.get_bind().dialect.server_version_info >= (18,):
            op.execute(f"SELECT pg_clear_attribute_stats('public', '{table}', '{owner}', false)")
