"""What customers text: shown to the right merchants, obeyed, and reviewed."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from sqlalchemy import text

from astronote.sender.v1.inbound_pb2 import InboundText
from deploy.local.mitto import MittoStandIn
from tests.conftest import TestMesh
from tests.contacts.client import reason
from tests.sender.customers import (
    SHARED,
    WAIT_SECONDS,
    answers,
    heard,
    listed,
    may_be_texted,
    phone,
    resolve,
    sent,
    subscribed,
    texted,
)
from tests.sender.road import Shop, provider


@pytest.fixture(scope="module", autouse=True)
async def mitto(mesh: TestMesh) -> AsyncIterator[MittoStandIn]:
    async with provider(mesh, {}) as mitto:
        yield mitto


@pytest.fixture
async def shop(mesh: TestMesh) -> Shop:
    """One who has texted her one customer."""
    shop = await Shop.opened(mesh, 1)
    await sent(mesh, shop, shop.phones[0], "Shop")
    return shop


async def test_a_stop_without_a_plus_in_greek_is_obeyed_at_once(mesh: TestMesh, shop: Shop) -> None:
    (customer,) = shop.phones
    assert await answers(mesh, {"from": customer[1:], "to": SHARED[1:], "text": "ΣΤΟΠ"}) == 1
    (found,) = await heard(shop)
    assert (found.phone, found.to, found.text) == (customer, SHARED, "ΣΤΟΠ")
    assert (found.kind, found.state) == (InboundText.STOP, InboundText.DONE)
    assert found.HasField("finish_time")
    assert not await subscribed(shop, customer)
    assert not await may_be_texted(mesh, shop, customer)


async def test_a_start_takes_it_back(mesh: TestMesh, shop: Shop) -> None:
    (customer,) = shop.phones
    for count, (words, expected) in enumerate((("stop", False), ("start", True), ("Stop!", False)), 1):
        await answers(mesh, {"msisdn": customer, "destination": SHARED, "message": words})
        assert (await heard(shop, count))[0].text == words
        assert await subscribed(shop, customer) == expected
        assert await may_be_texted(mesh, shop, customer) == expected


async def test_a_stop_acts_on_the_owner_of_the_number(mesh: TestMesh) -> None:
    customer, own = phone(), f"+3021{secrets.randbelow(10**8):08d}"
    shops = await texted(mesh, customer, owner=own, other="Other")
    await answers(mesh, {"from": customer, "to": own, "text": "STOP"})
    await heard(shops["owner"])
    assert not await may_be_texted(mesh, shops["owner"], customer)
    assert await may_be_texted(mesh, shops["other"], customer)
    assert await listed(shops["other"]) == []
    # Also of somebody whom the owner has not texted.
    stranger = phone()
    await answers(mesh, {"from": stranger, "to": own[1:], "text": "STOP"})
    await heard(shops["owner"], 2)
    assert not await may_be_texted(mesh, shops["owner"], stranger)


async def test_a_stop_to_a_shared_number_acts_on_whoever_texted_the_phone_lately(mesh: TestMesh) -> None:
    customer = phone()
    shops = await texted(mesh, customer, first="First", second="Second", stranger="", long_ago="")
    await sent(mesh, shops["long_ago"], customer, "LongAgo", days_ago=91)
    await answers(mesh, {"from": customer, "to": SHARED, "text": "STOP"})
    for name in ("first", "second"):
        await heard(shops[name])
    found = {name: await may_be_texted(mesh, each, customer) for name, each in shops.items()}
    assert found == {"first": False, "second": False, "stranger": True, "long_ago": True}


async def test_of_several_on_one_number_those_are_meant_who_texted_the_phone(mesh: TestMesh) -> None:
    customer, common = phone(), f"+3021{secrets.randbelow(10**8):08d}"
    shops = await texted(mesh, customer, mine=common, other="Other")
    shops |= await texted(mesh, phone(), neighbour=common)
    await answers(mesh, {"from": customer, "to": common, "text": "STOP"})
    await heard(shops["mine"])
    assert await listed(shops["other"]) == await listed(shops["neighbour"]) == []


async def test_what_is_for_nobody_is_kept_and_finds_whom_it_is_for(mesh: TestMesh, shop: Shop) -> None:
    """The answer is faster than our own record of what was sent."""
    customer, database = phone(), mesh.app("sender").database
    await answers(mesh, {"from": customer, "to": SHARED, "text": "STOP"})
    kept = text("SELECT key FROM arrivals WHERE phone = :phone")
    async with asyncio.timeout(WAIT_SECONDS):
        keys: list[Any] = []
        while not keys:
            await asyncio.sleep(0.02)
            async with database.pipeline.connect() as connection:
                keys = list((await connection.execute(kept, {"phone": customer})).all())
    await sent(mesh, shop, customer, "Shop")
    async with database.pipeline.begin() as connection:
        # It left before the answer came; the next look is now.
        earlier = "UPDATE messages SET submit_time = now() - interval '1 minute' WHERE \"to\" = :phone"
        await connection.execute(text(earlier), {"phone": customer})
        await connection.execute(text("UPDATE arrivals SET look_time = now() WHERE phone = :p"), {"p": customer})
    await heard(shop)
    assert not await may_be_texted(mesh, shop, customer)


async def test_who_texts_only_after_a_stop_is_not_meant(mesh: TestMesh, shop: Shop) -> None:
    (customer,) = shop.phones
    await answers(mesh, {"from": customer, "to": SHARED, "text": "STOP"})
    await heard(shop)
    later = (await texted(mesh, customer, later="Later"))["later"]
    async with mesh.app("sender").database.pipeline.begin() as connection:
        await connection.execute(text("UPDATE arrivals SET look_time = now() WHERE phone = :p"), {"p": customer})
    await answers(mesh, {"from": customer, "to": SHARED, "text": "thanks"})
    await heard(later)
    assert [each.text for each in await listed(later)] == ["thanks"]
    assert await may_be_texted(mesh, later, customer)


async def test_an_unclear_text_waits_for_a_person(mesh: TestMesh, shop: Shop) -> None:
    (customer,) = shop.phones
    for words in ("please take me off this list", "no"):
        await answers(mesh, {"from": customer, "to": SHARED, "text": words})
        await heard(shop, state=InboundText.REVIEW)
    await heard(shop, 2)
    assert await may_be_texted(mesh, shop, customer)
    no, off = await listed(shop, state=InboundText.REVIEW)
    assert (await resolve(shop, no.id, opt_out=False)).state == InboundText.DONE
    assert await may_be_texted(mesh, shop, customer)
    for _ in range(2):
        assert (await resolve(shop, off.id, opt_out=True)).opt_out
    assert await reason(resolve(shop, off.id, opt_out=False)) == "INBOUND_RESOLVED"
    await heard(shop, 2)
    assert not await may_be_texted(mesh, shop, customer)
    assert await listed(shop, state=InboundText.REVIEW) == []
    # It was no STOP that a START could undo.
    await answers(mesh, {"from": customer, "to": SHARED, "text": "START"})
    await heard(shop, 3)
    assert not await may_be_texted(mesh, shop, customer)


async def test_a_clear_text_and_another_merchants_are_not_resolved(mesh: TestMesh, shop: Shop) -> None:
    await answers(mesh, {"from": shop.phones[0], "to": SHARED, "text": "stop"})
    (clear,) = await heard(shop)
    assert await reason(resolve(shop, clear.id, opt_out=True)) == "INBOUND_RESOLVED"
    stranger = await Shop.opened(mesh, 0)
    assert await reason(resolve(stranger, clear.id, opt_out=True)) == "INBOUND_NOT_FOUND"
    assert await listed(stranger) == []


async def test_a_callback_without_the_secret_changes_nothing(mesh: TestMesh, shop: Shop) -> None:
    stop = {"from": shop.phones[0], "to": SHARED, "text": "STOP"}
    assert await reason(answers(mesh, stop, secret="wrong")) == "WEBHOOK_SECRET_WRONG"
    assert await reason(answers(mesh, 5)) == "INBOUND_INVALID"
    await answers(mesh, stop | {"text": "Hi"})
    assert [each.kind for each in await heard(shop)] == [InboundText.OTHER]
    with pytest.raises(grpc.aio.AioRpcError):
        await answers(mesh)
