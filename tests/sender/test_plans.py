"""How PostgreSQL reads messages when it knows the least of them: at a campaign's begin, where its statistics say that
all of them are final.
"""

import uuid
from datetime import UTC, datetime

import pytest
from sqlalchemy import TextClause, text

from services.sender.reports import Report
from services.sender.store import SenderStore
from services.sender.store.messages import _RESOLVE
from services.sender.store.reports import _APPLY, _FINISH, _PROVE, _columns
from tests.conftest import TestMesh

MANY = 5_000
ADDED = """
    INSERT INTO messages (id, merchant_id, "to", text, segments, credits, state, provider_message_id, error)
    SELECT n, CAST(:merchant_id AS uuid), '', '', 1, 1, :state, 'id ' || n, ''
    FROM generate_series(CAST(:first AS bigint), :last) AS n
"""
REPORTED = _columns([Report(f"id {number}", "DELIVERED", datetime.now(UTC), "", number) for number in range(MANY)])
RESOLVED = {name: ["x"] * MANY for name in ("states", "provider_ids", "errors")} | {"ids": list(range(MANY))}


@pytest.mark.parametrize(
    ("statement", "parameters"),
    [(_FINISH, REPORTED), (_APPLY, REPORTED), (_PROVE, REPORTED), (_RESOLVE, RESOLVED)],
    ids=["finish", "apply", "prove", "resolve"],
)
async def test_no_round_reads_all_messages(
    mesh: TestMesh, statement: TextClause, parameters: dict[str, object]
) -> None:
    await mesh.service("sender")
    async with SenderStore.open_pipeline(mesh.app("sender").database) as store:
        await store.connection.execute(text("CREATE TEMPORARY TABLE messages (LIKE messages INCLUDING ALL)"))
        mine = {"merchant_id": str(uuid.uuid4())}
        await store.connection.execute(text(ADDED), mine | {"state": "DELIVERED", "first": 1, "last": 2 * MANY})
        await store.connection.execute(text("ANALYZE messages"))
        await store.connection.execute(
            text(ADDED), mine | {"state": "ACCEPTED", "first": 2 * MANY + 1, "last": 5 * MANY}
        )
        plan = (await store.connection.execute(text(f"EXPLAIN {statement}"), parameters)).scalars().all()
        await store.driver.rollback()
    assert any("Index Scan" in line for line in plan)
    assert not [line for line in plan if "Seq Scan on messages" in line], "\n".join(plan)
