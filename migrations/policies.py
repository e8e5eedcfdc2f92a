"""What every migration needs: row-level security, to which the owner is held too, and the tables of kit."""

import sqlalchemy as sa
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


def shared_table(name: str) -> None:
    """Everybody reads it; only the pipeline's role writes."""
    _secure(name)
    op.execute(f"CREATE POLICY shared ON {name} FOR SELECT USING (true)")


def kit_tables() -> None:
    """The tables that kit itself needs (`kit.store.kit_tables`), as they were at the first release, secured."""
    now = sa.text("now()")

    def time(name: str = "create_time", default: sa.TextClause = now) -> sa.Column[object]:
        return sa.Column(name, sa.DateTime(timezone=True), server_default=default, nullable=False)

    def id() -> sa.Column[int]:
        return sa.Column("id", sa.BIGINT(), sa.Identity(always=False), primary_key=True)

    def required(kind: type[sa.types.TypeEngine[object]], *names: str) -> list[sa.Column[object]]:
        return [sa.Column(name, kind(), nullable=False) for name in names]

    text, raw = sa.Text, sa.LargeBinary
    claim = time("claim_expire_time", sa.text("'epoch'"))
    op.create_table("outbox", id(), *required(text, "subject"), *required(raw, "payload"), time(), claim)
    op.create_table("inbox", sa.Column("key", text(), primary_key=True), time())
    fault = [*required(sa.Integer, "deliveries"), *required(text, "error")]
    op.create_table("dead_letters", id(), *required(text, "subject", "key"), *required(raw, "payload"), *fault, time())
    key = [sa.Column("merchant_id", sa.Uuid(as_uuid=False), primary_key=True)]
    key += [sa.Column(name, text(), primary_key=True) for name in ("method", "request_id")]
    op.create_table("requests", *key, *required(raw, "request_hash", "answer"), time())
    append_only_table("outbox")
    pipeline_table("inbox")
    pipeline_table("dead_letters")
    tenant_table("requests")


def outbox_traces() -> None:
    """To which trace an event belongs."""
    op.add_column("outbox", sa.Column("traceparent", sa.Text(), server_default="", nullable=False))


def retention_indexes() -> None:
    """For deleting what is old in the tables of kit."""
    for table in ("inbox", "requests"):
        op.create_index(f"{table}_create_time_idx", table, ["create_time"])


def _secure(name: str) -> None:
    op.execute(f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {name} FORCE ROW LEVEL SECURITY")
