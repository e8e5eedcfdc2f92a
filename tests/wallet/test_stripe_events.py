"""The journal of Stripe's events: believed only when signed, kept before the 2xx, and never lost."""

import asyncio
import time
import uuid
from datetime import UTC, datetime
from typing import Any

import grpc
import orjson
import psycopg
import pytest
from sqlalchemy import text

from astronote.wallet.v1 import billing_pb2 as pb
from services.wallet import signature
from services.wallet.errors import StripeSignatureWrong
from services.wallet.repair import Repair
from services.wallet.store import WalletStore
from services.wallet.stripe import Stripe
from services.wallet.stripe_events import TRIES_MAX
from tests.conftest import SETTINGS, TestMesh
from tests.wallet.buyer import Buyer, deliver, handled, journal, operate, signed
from tests.wallet.client import reason

BODY, NOW = b'{"id": "evt_1"}', 1_800_000_000


def header(body: bytes = BODY, at_seconds: int = NOW, secret: str = "new") -> str:
    return signed(body, at_seconds, secret)


@pytest.mark.parametrize(
    "given",
    [
        header(),
        header(secret="old"),
        header(at_seconds=NOW - 300),
        header(at_seconds=NOW + 300),
        # Stripe signs with two secrets while one is being replaced.
        f"{header(secret='unknown')},{header().partition(',')[2]}",
    ],
)
def test_what_is_signed_with_one_of_the_secrets_about_now_is_taken(given: str):
    signature.check(given, BODY, ["new", "old"], NOW)


@pytest.mark.parametrize(
    "given",
    [
        "",
        "t=,v1=",
        f"t={NOW}",
        f"t={NOW},v1=",
        header(secret="unknown"),
        header(body=BODY + b" "),
        header(at_seconds=NOW - 301),
        header(at_seconds=NOW + 301),
        header().replace("v1=", "v0="),
        header().replace(f"t={NOW}", f"t={NOW + 1}"),
        f"t={NOW - 1000},{header()}",
        header().replace("v1=", "v1=\u00e9"),
        f"t={'9' * 5000},v1=00",
    ],
)
def test_what_is_forged_altered_stale_or_ahead_is_refused(given: str):
    with pytest.raises(StripeSignatureWrong):
        signature.check(given, BODY, ["new", "old"], NOW)


def event(type: str = "test.unknown", about: dict[str, Any] | None = None) -> dict[str, Any]:
    id = f"evt_{uuid.uuid4().hex}"
    return {"id": id, "object": "event", "type": type, "data": {"object": about or {"id": "x", "object": "x"}}}


async def test_an_event_that_is_not_signed_is_not_kept(buyer: Buyer, mesh: TestMesh):
    told = event()
    for given in ("", signed(b"{}"), signed(orjson.dumps(told), time.time() - 400)):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await deliver(mesh, told, given)
        assert raised.value.code() == grpc.StatusCode.UNAUTHENTICATED
    assert told["id"] not in await journal(mesh)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"x", b'{"id": "evt"}', b'{"id": "", "type": "a", "data": {"object": {}}}']
)
async def test_what_is_no_event_is_refused(buyer: Buyer, mesh: TestMesh, body: bytes):
    assert await reason(deliver(mesh, body)) in ("STRIPE_EVENT_INVALID", "FIELD_REQUIRED")


async def test_what_is_not_ours_is_kept_and_changes_nothing(buyer: Buyer, mesh: TestMesh):
    await buyer.checkout()
    line = {"currency": "eur", "unit_amount": 9900, "product_data": {"name": "a hat"}}
    hat = await buyer.till.api.checkout.sessions.create_async(
        params={
            "mode": "payment",
            "line_items": [{"quantity": 1, "price_data": line}],
            "success_url": "https://hat.test",
        }
    )
    await buyer.till.press(hat.url)
    told = [
        event(),
        event("invoice.upcoming", {"object": "invoice"}),
        event("checkout.session.completed", {"id": hat.id}),
    ]
    await buyer.hear(told)
    found = await journal(mesh)
    assert {found[each["id"]].state for each in told} == {pb.StripeEvent.IGNORED}
    assert await buyer.shown() == (0, 0)


async def test_an_event_is_kept_once_and_a_replay_of_it_changes_nothing(buyer: Buyer, mesh: TestMesh):
    page = await buyer.checkout()
    await buyer.till.press(page.url)
    (paid,) = (each for each in await buyer.events() if each["type"] == "checkout.session.completed")
    for _ in range(5):
        await buyer.hear([paid])
    # Another body with the id of one that was heard.
    await deliver(mesh, {**paid, "type": "test.unknown"})
    assert (await journal(mesh))[paid["id"]].type == "checkout.session.completed"
    replayed = await operate(mesh, "ReplayStripeEvents")
    assert replayed.events >= 1
    await handled(mesh, [paid["id"]])
    assert await buyer.shown() == (1000, 0)


async def test_an_event_outlives_an_outage_of_stripes_and_then_an_operators_help(buyer: Buyer, mesh: TestMesh):
    page = await buyer.checkout()
    await buyer.till.press(page.url)
    (paid,) = (each for each in await buyer.events() if each["type"] == "checkout.session.completed")
    unknown = event("checkout.session.completed", {"id": "cs_unknown"})
    for told in (paid, unknown):
        await deliver(mesh, told)
    await handled(mesh, [paid["id"]])
    found = await failed(mesh, unknown["id"])
    assert (found.state, found.tries) == (pb.StripeEvent.PENDING, 1)
    assert "InvalidRequestError" in found.error
    change(mesh, "UPDATE stripe_events SET tries = %s, due_time = now() WHERE id = %s", TRIES_MAX - 1, unknown["id"])
    await operate(mesh, "ReplayStripeEvents", state=pb.StripeEvent.HANDLED)
    await handled(mesh, [unknown["id"]])
    dead = (await operate(mesh, "ListStripeEvents", state=pb.StripeEvent.DEAD)).events
    assert unknown["id"] in {each.id for each in dead}
    assert await buyer.shown() == (1000, 0)
    # What names nothing that there is stays dead, and is tried from the beginning.
    assert (await operate(mesh, "ReplayStripeEvents", state=pb.StripeEvent.DEAD)).events >= 1
    assert (await failed(mesh, unknown["id"])).tries == 1


async def test_what_never_arrived_is_found_in_stripes_own_list(buyer: Buyer, mesh: TestMesh):
    page = await buyer.checkout()
    await buyer.till.press(page.url)
    lost = await buyer.events()
    repaired = await operate(mesh, "RepairStripeEvents")
    assert repaired.missed >= len(lost)
    await handled(mesh, [each["id"] for each in lost])
    assert await buyer.shown() == (1000, 0)
    assert (await operate(mesh, "RepairStripeEvents")).missed == 0


async def test_each_night_one_replica_repairs(buyer: Buyer, mesh: TestMesh):
    page = await buyer.checkout()
    await buyer.till.press(page.url)
    lost = await buyer.events()
    settings, database = SETTINGS["wallet"], mesh.app("wallet").database
    stripe = Stripe(settings["stripe_secret_key"], settings["stripe_api_base"])
    repair, now = Repair(database, stripe, asyncio.Event()), datetime.now(UTC)
    async with WalletStore.open_pipeline(database) as other:
        await other.connection.execute(text("UPDATE stripe_repairs SET due_time = 'epoch'"))
        assert await other.take_repair(now, lease_seconds=60, interval_seconds=60) is not None
    # Another one is at it.
    await repair.step()
    assert not set(await journal(mesh)) & {each["id"] for each in lost}
    change(mesh, "UPDATE stripe_repairs SET due_time = 'epoch', end_time = now() - interval '1 day'")
    await repair.step()
    await handled(mesh, [each["id"] for each in lost])
    assert await buyer.shown() == (1000, 0)
    await stripe.close()


@pytest.mark.parametrize("method", ["ReplayStripeEvents", "RepairStripeEvents"])
async def test_a_range_ends_after_it_starts(mesh: TestMesh, method: str):
    now = datetime.now(UTC)
    assert await reason(operate(mesh, method, start_time=now, end_time=now)) == "RANGE_INVALID"


def change(mesh: TestMesh, statement: str, *values: object) -> None:
    with psycopg.connect(mesh.database("wallet").pipeline_url.replace("+psycopg", "")) as connection:
        connection.execute(statement, values)


async def failed(mesh: TestMesh, id: str) -> Any:
    """The event, once a try of it has failed."""
    async with asyncio.timeout(20):
        while not (found := (await journal(mesh))[id]).error:
            await asyncio.sleep(0.02)
    return found
