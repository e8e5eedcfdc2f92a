"""What operators see and do, and that nothing is destroyed unasked."""

import re
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert, select, text

from astronote.accounts.v1.accounts_pb2 import RegisterRequest
from astronote.accounts.v1.accounts_pb2_grpc import AuthServiceStub
from astronote.accounts.v1.events_pb2 import MerchantRegistered
from astronote.campaigns.v1.events_pb2 import LinkOpened
from kit.access import AccessDenied, Rule, check
from kit.caller import Caller
from services.accounts.rotation import PUBLISHED_MIN
from services.wallet.store import WalletStore
from services.wallet.tables import metadata
from tests.conftest import TestMesh
from tests.ops.conftest import Ops, answered

LETTERS = metadata.tables["dead_letters"]


@pytest.fixture
async def merchant(mesh: TestMesh) -> tuple[str, str]:
    """A merchant's id and email."""
    peer, email = await mesh.service("accounts"), f"{uuid.uuid4()}@example.com"
    request = RegisterRequest(email=email, password="correct horse", company="Καφέ Ops", sender_name="Cafe")
    session = await AuthServiceStub(peer.channel).Register(request, metadata=peer.metadata(role="public"), timeout=20)
    return session.merchant.id, email


async def add_letter(mesh: TestMesh, subject: str, payload: bytes) -> int:
    await mesh.service("wallet")
    row = {
        "subject": subject,
        "key": str(uuid.uuid4()),
        "payload": payload,
        "deliveries": 20,
        "error": "Oops('+306944444444')",
    }
    async with WalletStore.open_pipeline(mesh.app("wallet").database) as store:
        return int((await store.connection.execute(insert(LETTERS).values(row).returning(LETTERS.c.id))).scalar_one())


async def letters(mesh: TestMesh) -> set[int]:
    async with WalletStore.open_pipeline(mesh.app("wallet").database) as store:
        return set((await store.connection.execute(select(LETTERS.c.id))).scalars())


async def test_merchants_are_found_by_what_one_knows_of_them(ops: Ops, merchant: tuple[str, str]) -> None:
    id, email = merchant
    for query in (id, email.upper(), f" {email} "):
        (found,) = answered(await ops("--json", "merchants", "list", query))
        assert (found["id"], found["company"]) == (id, "Καφέ Ops")
    listed = answered(await ops("--json", "merchants", "list", "καφέ", "--limit", 10_000))
    assert id in {found["id"] for found in listed}
    assert answered(await ops("--json", "merchants", "list", "nobody@example.com")) == []
    table = (await ops("merchants", "list", id)).output
    assert "Καφέ" in table
    assert re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", table), "to the second"
    assert answered(await ops("merchants", "list", id, "--json")) == [found]


async def test_credits_are_given_once_and_not_unasked(ops: Ops, merchant: tuple[str, str]) -> None:
    _, email = merchant
    give = ("grant", email, 500, "--reason", "an outage", "--request-id", str(uuid.uuid4()))
    refused = await ops(*give, says="n\n")
    assert (refused.exit_code, "Give 500 credits to Καφέ Ops" in refused.output) == (1, True)
    assert (await ops(*give)).exit_code == 1, "nobody was there to say yes"
    for _ in range(2):
        granted = await ops("--json", *give, "--yes")
        assert answered(granted)["granted"] == 500
    assert (await ops(*give, says="y\n")).exit_code == 0
    wrong = await ops("grant", uuid.uuid4(), 1, "--reason", "?", "--yes")
    assert (wrong.exit_code, "No merchant is found" in wrong.output) == (1, True)


async def test_a_dead_letter_is_looked_at_and_replayed(ops: Ops, mesh: TestMesh, merchant_id: str) -> None:
    event = MerchantRegistered(merchant_id=merchant_id)
    id = await add_letter(mesh, f"event.{event.DESCRIPTOR.full_name}", event.SerializeToString())
    listed = answered(await ops("--json", "dead-letters", "list", "wallet"))["wallet"]
    assert str(id) in {letter["id"] for letter in listed}
    shown = await ops("--json", "dead-letters", "show", "wallet", id)
    assert answered(shown)["payload"] == {"merchantId": merchant_id}
    assert "+306944444444" not in shown.output
    assert answered(await ops("--json", "dead-letters", "replay", "wallet", id)) == {"done": 1, "failed": {}}
    assert id not in await letters(mesh)
    gone = await ops("dead-letters", "replay", "wallet", id)
    assert (gone.exit_code, "DEAD_LETTER_NOT_FOUND" in gone.output) == (1, True)


async def test_what_fails_again_stays_until_it_is_dropped(ops: Ops, mesh: TestMesh) -> None:
    broken = await add_letter(mesh, f"event.{MerchantRegistered.DESCRIPTOR.full_name}", b"\x0a\x03abc")
    strange = await add_letter(mesh, f"event.{LinkOpened.DESCRIPTOR.full_name}", b"")
    replayed = await ops("--json", "dead-letters", "replay", "wallet", broken, strange)
    assert replayed.exit_code == 1
    assert replayed.stdout.count("REPLAY_FAILED") == 2
    assert (await ops("dead-letters", "drop", "wallet", broken, says="n\n")).exit_code == 1
    assert {broken, strange} <= await letters(mesh)
    assert (await ops("dead-letters", "drop", "wallet", "--yes")).exit_code == 1, "neither ids nor --all"
    assert answered(await ops("--json", "dead-letters", "drop", "wallet", "--all", "--yes"))["failed"] == {}
    assert not await letters(mesh)
    assert answered(await ops("--json", "dead-letters", "drop", "wallet", "--all"))["done"] == 0, "nothing to ask about"
    assert (await ops("dead-letters", "list", "gateway")).exit_code == 1


async def test_the_ledger_is_counted_when_asked(ops: Ops) -> None:
    for _ in range(50):
        result = await ops("--json", "ledger", "audit")
        if "RECOUNT_UNDER_WAY" not in result.output:
            break
    assert int(answered(result)["discrepancies"]) == 0


async def test_submissions_are_held_and_go_on(ops: Ops) -> None:
    assert (await ops("drain", says="n\n")).exit_code == 1
    shown = answered(await ops("--json", "drain", "--show"))
    assert (shown["isDrained"], shown.get("retryTime")) == (False, None)
    try:
        assert answered(await ops("--json", "drain", "--yes"))["isDrained"] is True
    finally:
        assert answered(await ops("--json", "drain", "--undo"))["isDrained"] is False


async def test_what_is_unknown_or_stuck_or_unreadable_is_listed(ops: Ops) -> None:
    for words in (["unknowns"], ["batches", "stuck", "--generation-min", 50], ["webhooks", "quarantine"]):
        assert isinstance(answered(await ops("--json", *words)), list)
        assert (await ops(*words)).exit_code == 0
    unknown = await ops("--json", "batches", "publish", 1 << 60)
    assert (unknown.exit_code, '"published": 0' in unknown.stdout) == (1, True)
    now = datetime.now(UTC)
    span = [(now + timedelta(days=days)).strftime("%Y-%m-%d") for days in (300, 301)]
    replayed = answered(await ops("--json", "webhooks", "replay", "--from", span[0], "--to", span[1]))
    assert replayed == {"bodies": 0, "reports": 0, "quarantined": 0, "changes": {}}
    assert "RANGE_INVALID" in (await ops("webhooks", "replay", "--from", span[1], "--to", span[0])).output


async def test_signing_keys_are_rotated_when_the_next_is_known(ops: Ops, mesh: TestMesh) -> None:
    before = answered(await ops("--json", "keys", "list"))
    assert {key["state"] for key in before} >= {"ACTIVE", "NEXT"}
    assert not any("private" in name.lower() for key in before for name in key)

    async def age(of: timedelta) -> None:
        async with mesh.app("accounts").store.open_pipeline(mesh.app("accounts").database) as opened:
            made = text("UPDATE signing_keys SET create_time = now() - CAST(:of AS interval) WHERE state = 'NEXT'")
            await opened.connection.execute(made, {"of": of})

    # Other tests may have taken longer than it takes a key to be known.
    await age(timedelta())
    young = await ops("keys", "rotate", "--yes")
    assert (young.exit_code, "NEXT_KEY_TOO_YOUNG" in young.output) == (1, True)
    old = {key["kid"]: key["state"] for key in before}
    await age(PUBLISHED_MIN + timedelta(seconds=1))
    assert (await ops("keys", "rotate", says="n\n")).exit_code == 1
    after = {key["kid"]: key["state"] for key in answered(await ops("--json", "keys", "rotate", "--yes"))}
    for kid, state in old.items():
        assert after[kid] == {"NEXT": "ACTIVE", "ACTIVE": "RETIRED", "RETIRED": "RETIRED"}[state]
    lost = {key["kid"]: key["state"] for key in answered(await ops("--json", "keys", "rotate", "--lost", "--yes"))}
    assert not {kid for kid, state in after.items() if state == "ACTIVE"} & set(lost)


def test_only_ops_is_ops() -> None:
    """Nobody else may call what is for operators' hands, and it speaks for no merchant."""
    rule = Rule(services=frozenset({"ops"}), no_merchant=True)
    check(rule, Caller("ops", "service"))
    for caller in (Caller("sender", "service"), Caller("ops", "operator"), Caller("ops", "service", str(uuid.uuid4()))):
        with pytest.raises(AccessDenied):
            check(rule, caller)
