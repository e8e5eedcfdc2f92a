"""The ledger of consents: a chain a merchant, which nobody changes. What was noted before is carried over."""

import hashlib
import json
from datetime import UTC
from itertools import groupby
from typing import Any

import sqlalchemy as sa
from alembic import op

from migrations.policies import MINE, tenant_table

revision = "0003"
down_revision = "0002"

PAGE_ROWS = 5_000


def upgrade() -> None:
    op.rename_table("consents", "earlier_consents")
    op.execute("ALTER INDEX consents_pkey RENAME TO earlier_consents_pkey")
    _tables()
    _carry_over()
    op.drop_table("earlier_consents")
    tenant_table("consent_origins")
    for table in ("consents", "consent_people", "wordings"):
        _append_only(table)


def _tables() -> None:
    def merchant() -> sa.Column[Any]:
        return sa.Column("merchant_id", sa.Uuid(as_uuid=False), nullable=False)

    def number(name: str = "number") -> sa.Column[Any]:
        return sa.Column(name, sa.Integer(), nullable=False)

    def texts(*names: str) -> list[sa.Column[Any]]:
        return [sa.Column(name, sa.Text(), nullable=False) for name in names]

    def raws(*names: str) -> list[sa.Column[Any]]:
        return [sa.Column(name, sa.LargeBinary(), nullable=False) for name in names]

    def contact() -> sa.Column[Any]:
        return sa.Column("contact_id", sa.Uuid(as_uuid=False), nullable=True)

    op.create_table(
        "consents",
        merchant(),
        number(),
        *texts("event", "purpose", "legal_basis", "source"),
        *raws("wording_hash", "origin_hash"),
        number("people_count"),
        *raws("people_root", "previous_hash", "hash"),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("merchant_id", "number", name="consents_pkey"),
    )
    op.create_table(
        "consent_people",
        *(merchant(), number(), number("position"), contact()),
        *raws("phone_hash"),
        sa.PrimaryKeyConstraint("merchant_id", "number", "position", name="consent_people_pkey"),
    )
    op.create_table(
        "wordings",
        merchant(),
        *raws("hash"),
        *texts("text"),
        sa.PrimaryKeyConstraint("merchant_id", "hash", name="wordings_pkey"),
    )
    op.create_table(
        "consent_origins",
        *(merchant(), number(), contact()),
        *raws("phone_hash"),
        *texts("ip_address", "user_agent"),
        *raws("salt"),
        sa.PrimaryKeyConstraint("merchant_id", "number", name="consent_origins_pkey"),
    )
    op.create_index("consent_people_phone_hash_idx", "consent_people", ["merchant_id", "phone_hash"])
    op.create_index("consent_origins_phone_hash_idx", "consent_origins", ["merchant_id", "phone_hash"])
    op.create_index("consent_origins_contact_id_idx", "consent_origins", ["merchant_id", "contact_id"])


def _append_only(table: str) -> None:
    """For every role, the owner and a replica's among them."""
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY tenant_reads ON {table} FOR SELECT USING ({MINE})")
    op.execute(f"CREATE POLICY tenant_adds ON {table} FOR INSERT WITH CHECK ({MINE})")
    op.execute("""
        CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'the ledger is append-only: no % of %', TG_OP, TG_TABLE_NAME
                USING ERRCODE = 'integrity_constraint_violation';
        END $$
    """)
    op.execute(f"""
        CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
    """)
    op.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER append_only")


def _carry_over() -> None:
    """Rows that said the same at the same time, as those of an import's page did, become one link; the hashes are made
    as services/contacts/ledger.py made them when this was written.
    """
    op.execute("ALTER TABLE earlier_consents NO FORCE ROW LEVEL SECURITY")
    query = sa.text("SELECT * FROM earlier_consents ORDER BY merchant_id, id").execution_options(yield_per=PAGE_ROWS)
    said = ("merchant_id", "event", "source", "wording", "create_time")
    rows = op.get_bind().execute(query)
    number, hash, whose = 0, bytes(32), None
    for statement, people in groupby(rows, key=lambda row: tuple(getattr(row, name) for name in said)):
        merchant_id, event, source, wording, time = statement
        if merchant_id != whose:
            number, hash, whose = 0, bytes(32), merchant_id
        persons = [(row.contact_id, row.phone_hash) for row in people]
        for begin in range(0, len(persons), PAGE_ROWS):
            number += 1
            hash = _link(merchant_id, number, hash, event, source, wording, time, persons[begin : begin + PAGE_ROWS])


def _link(
    merchant_id: Any, number: int, previous: bytes, event: str, source: str, wording: str, time: Any, people: list[Any]
) -> bytes:
    wording_hash = hashlib.sha256(wording.encode()).digest() if wording else b""
    level = [hashlib.sha256(b"\x00" + (id.bytes if id else bytes(16)) + bytes(phone)).digest() for id, phone in people]
    while len(level) > 1:
        pairs = [hashlib.sha256(b"\x01" + level[at] + level[at + 1]).digest() for at in range(0, len(level) - 1, 2)]
        level = pairs + level[len(pairs) * 2 :]
    shown = {
        "create_time": time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "event": event,
        "legal_basis": "CONSENT" if event == "GRANTED" else "LEGAL_BASIS_UNSPECIFIED",
        "merchant_id": str(merchant_id),
        "number": number,
        "origin_hash": "",
        "people_count": len(people),
        "people_root": level[0].hex(),
        "previous_hash": previous.hex(),
        "purpose": "MARKETING",
        "source": source,
        "wording_hash": wording_hash.hex(),
    }
    text = json.dumps(shown, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    hash = hashlib.sha256(b"\x02" + text.encode()).digest()
    raw = {"wording_hash": wording_hash, "origin_hash": b"", "people_root": level[0], "previous_hash": previous}
    _insert("consents", [shown | raw | {"hash": hash, "create_time": time, "merchant_id": merchant_id}])
    if wording:
        _insert("wordings", [{"merchant_id": merchant_id, "hash": wording_hash, "text": wording}])
    place = {"merchant_id": merchant_id, "number": number}
    persons = enumerate(people)
    _insert("consent_people", [place | {"position": at, "contact_id": i, "phone_hash": p} for at, (i, p) in persons])
    return hash


def _insert(table: str, rows: list[dict[str, Any]]) -> None:
    columns = ", ".join(rows[0])
    values = ", ".join(f":{name}" for name in rows[0])
    statement = f"INSERT INTO {table} ({columns}) VALUES ({values}) ON CONFLICT DO NOTHING"
    op.get_bind().execute(sa.text(statement), rows)
