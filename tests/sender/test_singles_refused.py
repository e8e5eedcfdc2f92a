"""Single texts that the wallet refuses when they are asked for again: who was told of one has it, whoever asks."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from astronote.sender.v1.sender_pb2 import Message
from astronote.wallet.v1 import wallet_pb2 as wallet
from kit import crash, errors
from services.sender.singles import Singles
from services.sender.store import SenderStore
from tests.conftest import TestMesh
from tests.sender.road import Shop, provider
from tests.sender.test_singles import CREDITS, WAIT_SECONDS, holds, message, phone, send, singles
from tests.wallet.client import Client


@pytest.fixture
async def shop(mesh: TestMesh) -> AsyncIterator[Shop]:
    await mesh.service("contacts")
    async with provider(mesh, {}, single_sweep_seconds=0.5):
        yield await Shop.opened(mesh, 0)


@pytest.fixture
def unswept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody looks after what was left."""

    async def none(*_: object) -> list[object]:
        return []

    monkeypatch.setattr(SenderStore, "take_singles", none)


def asked(count: int) -> list[dict[str, str]]:
    return [{"to": phone(), "request_id": str(uuid.uuid4())} for _ in range(count)]


async def afford(mesh: TestMesh, shop: Shop, credits: int) -> None:
    """So many credits are left."""
    await Client(mesh, shop.merchant_id)("Hold", "sender", hold_id=str(uuid.uuid4()), amount=CREDITS - credits)


@pytest.mark.usefixtures("unswept")
async def test_what_nobody_was_told_of_goes_as_far_as_it_can_be_paid_whoever_asks_again_at_once(
    mesh: TestMesh, shop: Shop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    plan, texts = tmp_path / "plan", asked(9)
    await afford(mesh, shop, 5)
    plan.write_text("single.kept error 2")
    monkeypatch.setattr(crash, "point", crash.planned(plan))
    first = await asyncio.gather(*(send(shop, **text) for text in texts), return_exceptions=True)
    assert sum(not isinstance(end, Message) for end in first) > 1
    ends = await asyncio.gather(*(send(shop, **text) for text in texts), return_exceptions=True)
    assert {errors.reason(end) for end in ends if isinstance(end, grpc.aio.AioRpcError)} == {"INSUFFICIENT_CREDITS"}
    told = {end.id for end in ends if isinstance(end, Message)}
    assert told == {each.id for each in await shop.messages()}
    assert len(told) == 5


@pytest.mark.usefixtures("unswept")
async def test_what_was_told_of_while_the_wallet_was_away_stays_whoever_asks_again(mesh: TestMesh, shop: Shop) -> None:
    texts = asked(4)
    await afford(mesh, shop, 0)
    await mesh.stop("wallet")
    told = await asyncio.gather(*(send(shop, **text) for text in texts))
    await mesh.start("wallet", {"welcome_credits": CREDITS})
    async with asyncio.timeout(WAIT_SECONDS):
        while {each.state for each in await shop.messages()} != {Message.REJECTED}:
            assert await asyncio.gather(*(send(shop, **text) for text in texts)) == told
    refused = {each.id: each.error for each in await shop.messages()}
    assert refused == dict.fromkeys([each.id for each in told], "insufficient_credits")


async def test_a_hold_of_what_was_refused_and_forgotten_meanwhile_is_closed(
    mesh: TestMesh, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    frozen, wallets, all_held = asyncio.Event(), Client(mesh, shop.merchant_id), str(uuid.uuid4())
    pay = Singles._pay

    async def late(self: Singles, single: Any, *, is_told: bool) -> None:
        if is_told:
            await frozen.wait()
        await pay(self, single, is_told=is_told)

    monkeypatch.setattr(Singles, "_pay", late)
    await wallets("Hold", "sender", hold_id=all_held, amount=CREDITS)
    sending = asyncio.create_task(send(shop))
    async with asyncio.timeout(WAIT_SECONDS):
        while not await singles(mesh, shop):
            await asyncio.sleep(0.02)
        while await singles(mesh, shop):
            await asyncio.sleep(0.02)
    await wallets("CloseHold", "sender", hold_id=all_held)
    frozen.set()
    assert (await message(shop, (await sending).id)).error == "insufficient_credits"
    async with asyncio.timeout(WAIT_SECONDS):
        while {hold.state for hold in await holds(shop)} != {wallet.HoldRecord.CLOSED}:
            await asyncio.sleep(0.02)
    assert len(await holds(shop)) == 2
    assert {hold.captured for hold in await holds(shop)} == {0}
