"""Row-level security, as every migration sets it. The owner is held to it too."""

from alembic import op

MINE = "merchant_id = nullif(current_setting('astronote.merchant_id', true), '')::uuid"


def tenant_table(name: str, condition: str = MINE) -> None:
    """Rows are seen and written by their merchant's transactions only; with no merchant set there are none."""
    _secure(name)
    op.execute(f"CREATE POLICY tenant ON {name} USING ({condition}) WITH CHECK ({condition})")


def append_only_table(name: str) -> None:
    """Merchants' transactions may add rows and see none; only the pipeline reads them."""
    _secure(name)
    op.execute(f"CREATE POLICY append ON {name} FOR INSERT WITH CHECK (true)")


def pipeline_table(name: str) -> None:
    """Only the pipeline's role sees or writes it."""
    _secure(name)


def kit_tables() -> None:
    """The tables that kit adds to each service, secured."""
    append_only_table("outbox")
    pipeline_table("inbox")
    pipeline_table("dead_letters")
    tenant_table("requests")


def _secure(name: str) -> None:
    op.execute(f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {name} FORCE ROW LEVEL SECURITY")
