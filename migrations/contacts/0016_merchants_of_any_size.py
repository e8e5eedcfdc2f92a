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


# What an earlier ANALYZE has found would stay.
CLEARED = """
DO $$ BEGIN
    IF current_setting('server_version_num')::int >= 180000 THEN
        PERFORM pg_clear_attribute_stats('public', '{table}', '{owner}', false);
    END IF;
END $$
"""


def upgrade() -> None:
    for table, owner in OWNED.items():
        op.execute(f"ALTER TABLE {table} ALTER COLUMN {owner} SET STATISTICS 0")
        op.execute(CLEARED.format(table=table, owner=owner))
