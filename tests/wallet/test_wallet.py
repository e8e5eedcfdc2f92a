"""The wallet over a real channel and a real database."""

import asyncio
from collections import Counter
from typing import Any

import grpc
import pytest

from astronote.accounts.v1.events_pb2 import MerchantRegistered
from astronote.wallet.v1 import wallet_pb2 as pb
from tests.wallet.client import Client, new_id, reason, refused


def outcomes(answers: list[Any]) -> Counter[str]:
    """How many of each gRPC code."""
    return Counter(answer.code().name if isinstance(answer, grpc.aio.AioRpcError) else "OK" for answer in answers)


@pytest.fixture
async def wallet(mesh: Any, merchant_id: str) -> Client:
    client = Client(mesh, merchant_id)
    await client.register(1000)
    return client


async def test_a_hold_is_captured_released_and_closed(wallet: Client):
    hold_id = new_id()
    hold = await wallet("Hold", hold_id=hold_id, amount=600)
    assert (hold.id, hold.amount, hold.state) == (hold_id, 600, pb.HoldRecord.OPEN)
    assert await wallet.balances() == (400, 600, 0)
    hold = await wallet.settle(hold_id, "a", capture=300, release=100)
    assert (hold.captured, hold.released) == (300, 100)
    assert await wallet.balances() == (500, 200, 300)
    assert await refused(wallet("CloseHold", hold_id=hold_id, captured=301)) == (
        "HOLD_UNSETTLED",
        {"hold_id": hold_id, "captured": "300", "expected": "301"},
    )
    hold = await wallet("CloseHold", hold_id=hold_id, captured=300)
    assert (hold.captured, hold.released, hold.state) == (300, 300, pb.HoldRecord.CLOSED)
    assert await wallet("CloseHold", hold_id=hold_id, captured=300) == hold
    assert await wallet.balances() == (700, 0, 300)
    assert await reason(wallet.settle(hold_id, "late", capture=1)) == "HOLD_CLOSED"
    assert await reason(wallet("CloseHold", hold_id=hold_id, captured=299)) == "KEY_REUSED"


async def test_the_same_key_answers_the_same_and_moves_nothing(wallet: Client):
    hold_id, request_id = new_id(), new_id()
    first = [
        await wallet.grant(50, request_id),
        await wallet("Hold", hold_id=hold_id, amount=100),
        await wallet.settle(hold_id, "a", capture=10, release=5),
    ]
    await wallet.settle(hold_id, "b", capture=20)
    before = await wallet.balances()
    again = [
        await wallet.grant(50, request_id),
        await wallet("Hold", hold_id=hold_id, amount=100),
        await wallet.settle(hold_id, "a", capture=10, release=5),
    ]
    assert again == first
    assert await reason(wallet.grant(51, request_id)) == "KEY_REUSED"
    assert await reason(wallet("Hold", hold_id=hold_id, amount=99)) == "KEY_REUSED"
    assert await reason(wallet.settle(hold_id, "a", capture=10, release=6)) == "KEY_REUSED"
    assert await wallet.balances() == before
    await wallet("CloseHold", hold_id=hold_id, captured=30)
    assert await wallet.settle(hold_id, "b", capture=20)  # a late repeat is no late capture


async def test_refusals_name_what_is_wrong(wallet: Client, mesh: Any):
    hold_id = new_id()
    await wallet("Hold", hold_id=hold_id, amount=10)
    assert await refused(wallet("Hold", hold_id=new_id(), amount=1000)) == (
        "INSUFFICIENT_CREDITS",
        {"available": "990", "shortfall": "10"},
    )
    assert await reason(wallet.settle(hold_id, "over", capture=11)) == "HOLD_EXCEEDED"
    assert await reason(wallet.settle(hold_id, "over", capture=6, release=5)) == "HOLD_EXCEEDED"
    assert await reason(wallet.settle(hold_id, "minus", capture=-1, release=5)) == "AMOUNT_INVALID"
    assert await reason(wallet("Hold", hold_id=new_id(), amount=-5)) == "AMOUNT_INVALID"
    assert await reason(wallet("Hold", hold_id="campaign-1", amount=5)) == "HOLD_ID_INVALID"
    assert await reason(wallet.settle(hold_id, "k" * 201)) == "KEY_INVALID"
    assert await reason(wallet.settle(hold_id, "k\0")) == "KEY_INVALID"
    for unknown in (new_id(), "campaign-1"):
        assert await reason(wallet.settle(unknown, "a", capture=1)) == "HOLD_NOT_FOUND"
        assert await reason(wallet("CloseHold", hold_id=unknown)) == "HOLD_NOT_FOUND"
        assert await reason(wallet.grant(5, merchant_id=unknown)) == "WALLET_NOT_FOUND"
    assert await reason(wallet.grant(1_000_000_001)) == "AMOUNT_INVALID"
    assert await reason(wallet.grant(5, reason="a\0b")) == "REASON_INVALID"
    assert await wallet.balances() == (990, 10, 0)


async def test_more_credits_than_a_message_can_say_are_refused(wallet: Client):
    await wallet.grant(1_000_000_000)
    await wallet.grant(1_000_000_000)
    assert await reason(wallet.grant(1_000_000_000)) == "AMOUNT_INVALID"
    assert (await wallet("GetWallet")).granted == 2_000_001_000


async def test_a_release_that_the_close_overtook_is_taken_and_moves_nothing(wallet: Client):
    """The sender's release and the campaign's close are not ordered: a release must not be refused for ever."""
    hold_id = new_id()
    await wallet("Hold", hold_id=hold_id, amount=100)
    await wallet.settle(hold_id, "a", capture=60)
    closed = await wallet("CloseHold", hold_id=hold_id, captured=60)
    assert await wallet.settle(hold_id, "a:expired", release=40) == closed
    assert await wallet.settle(hold_id, "a:expired", release=40) == closed
    assert await reason(wallet.settle(hold_id, "a:expired", release=39)) == "KEY_REUSED"
    assert await reason(wallet.settle(hold_id, "b", release=41)) == "HOLD_CLOSED"
    assert await reason(wallet.settle(hold_id, "c", capture=1)) == "HOLD_CLOSED"
    assert await wallet.balances() == (940, 0, 60)


async def test_fifty_settlements_and_closes_of_one_hold_at_once_never_lose_a_capture(wallet: Client):
    """Whichever comes first: a close succeeds only with the sum that was captured, and no capture follows it."""
    hold_id = new_id()
    await wallet("Hold", hold_id=hold_id, amount=100)
    answers = await asyncio.gather(
        *(wallet.settle(hold_id, f"attempt-{number}", capture=2, release=1) for number in range(25)),
        *(wallet("CloseHold", hold_id=hold_id, captured=2 * number) for number in range(25)),
        return_exceptions=True,
    )
    captured = sum(2 for answer in answers[:25] if isinstance(answer, pb.HoldRecord))
    closes = [answer for answer in answers[25:] if isinstance(answer, pb.HoldRecord)]
    assert len(closes) <= 1
    assert all(close.captured == captured for close in closes)
    if not closes:
        await wallet("CloseHold", hold_id=hold_id, captured=captured)
    assert await wallet.balances() == (1000 - captured, 0, captured)


async def test_fifty_holds_at_once_never_overdraw(wallet: Client):
    answers = await asyncio.gather(
        *(wallet("Hold", hold_id=new_id(), amount=30) for _ in range(50)), return_exceptions=True
    )
    assert outcomes(answers) == {"OK": 33, "FAILED_PRECONDITION": 17}
    assert await wallet.balances() == (10, 990, 0)


async def test_fifty_settlements_at_once_never_exceed_their_hold(wallet: Client):
    hold_id = new_id()
    await wallet("Hold", hold_id=hold_id, amount=100)
    answers = await asyncio.gather(
        *(wallet.settle(hold_id, f"attempt-{number}", capture=2, release=1) for number in range(50)),
        return_exceptions=True,
    )
    assert outcomes(answers) == {"OK": 33, "FAILED_PRECONDITION": 17}
    assert await wallet.balances() == (933, 1, 66)


async def test_the_same_key_fifty_times_at_once_moves_once(wallet: Client):
    hold_id, request_id = new_id(), new_id()
    for copies in (
        [wallet("Hold", hold_id=hold_id, amount=100) for _ in range(50)],
        [wallet.settle(hold_id, "a", capture=40) for _ in range(50)],
        [wallet("CloseHold", hold_id=hold_id, captured=40) for _ in range(50)],
        [wallet.grant(7, request_id) for _ in range(50)],
    ):
        answers = await asyncio.gather(*copies)
        assert all(answer == answers[0] for answer in answers)
    assert await wallet.balances() == (967, 0, 40)


async def test_holds_settlements_closes_and_grants_at_once_end_balanced(wallet: Client):
    """Nobody waits in a circle, whatever crosses whatever."""

    async def campaign() -> int:
        hold_id = new_id()
        await wallet("Hold", hold_id=hold_id, amount=20)
        await asyncio.gather(*(wallet.settle(hold_id, key, capture=3, release=1) for key in "abc"), wallet.grant(5))
        return (await wallet("CloseHold", hold_id=hold_id, captured=9)).captured

    assert sum(await asyncio.gather(*(campaign() for _ in range(10)))) == 90
    assert await wallet.balances() == (1000 + 50 - 90, 0, 90)


async def test_what_moved_is_listed_newest_first(wallet: Client):
    hold_id = new_id()
    await wallet("Hold", hold_id=hold_id, amount=100)
    await wallet.settle(hold_id, "a", capture=60, release=30)
    await wallet("CloseHold", hold_id=hold_id, captured=60)
    await wallet("Hold", hold_id=new_id(), amount=1)
    found, token = [], ""
    while True:
        page = await wallet("ListTransactions", "gateway", page_size=2, page_token=token)
        found += page.transactions
        token = page.next_page_token
        if not token:
            break
    kinds = [pb.Transaction.Kind.Name(transaction.kind) for transaction in found]
    assert kinds == ["HOLD", "CLOSE", "SETTLE", "HOLD", "GRANT"]
    changes = [(one.available_change, one.held_change, one.spent_change) for one in found]
    assert changes == [(-1, 1, 0), (10, -10, 0), (30, -90, 60), (-100, 100, 0), (1000, 0, 0)]
    assert [one.hold_id for one in found[1:]] == [hold_id, hold_id, hold_id, ""]
    assert found[-1].reason == "welcome"
    assert len({one.id for one in found}) == 5
    page = await wallet("ListHolds", "gateway", page_size=1)
    assert [hold.amount for hold in page.holds] == [1]
    page = await wallet("ListHolds", "gateway", page_size=1, page_token=page.next_page_token)
    assert [(hold.id, hold.state) for hold in page.holds] == [(hold_id, pb.HoldRecord.CLOSED)]
    assert await reason(wallet("ListHolds", "gateway", page_token="?")) == "PAGE_TOKEN_INVALID"


async def test_the_welcome_comes_once_however_often_the_event_does(mesh: Any, merchant_id: str):
    wallet = Client(mesh, merchant_id)
    assert await reason(wallet.grant(5)) == "WALLET_NOT_FOUND"
    await asyncio.gather(*(wallet.register(500, "starter") for _ in range(10)))
    await wallet.register(700, "pro")
    full = await wallet("GetWallet", "gateway")
    assert (full.available, full.granted) == (500, 500)
    assert (full.subscription.plan, full.subscription.state) == ("starter", pb.Subscription.ACTIVE)
    assert (await wallet("GetEntitlement")).campaigns


async def test_a_merchant_that_is_faster_than_its_event_finds_an_open_wallet(mesh: Any, merchant_id: str):
    wallet = Client(mesh, merchant_id)
    assert await reason(wallet("Hold", hold_id=new_id(), amount=1)) == "INSUFFICIENT_CREDITS"
    found = await wallet("GetWallet", "gateway")
    assert (found.available, found.subscription.state) == (0, pb.Subscription.NONE)
    assert not (await wallet("GetEntitlement")).campaigns
    assert (await wallet.grant(5)).available == 5


async def test_the_event_opens_the_wallet(mesh: Any, merchant_id: str):
    wallet = Client(mesh, merchant_id)
    await mesh.service("wallet")
    event = MerchantRegistered(merchant_id=merchant_id)
    await mesh.app("wallet").bus.publish(f"event.{event.DESCRIPTOR.full_name}", event.SerializeToString(), merchant_id)
    async with asyncio.timeout(20):
        while (await wallet("GetWallet", "gateway")).granted == 0:
            try:
                await wallet.grant(5, request_id="first")
            except grpc.aio.AioRpcError:
                await asyncio.sleep(0.1)
    assert (await wallet("GetWallet", "gateway")).available >= 5


async def test_one_merchant_sees_and_moves_nothing_of_another(wallet: Client, mesh: Any):
    hold_id, other = new_id(), Client(mesh, new_id())
    await wallet("Hold", hold_id=hold_id, amount=100)
    await other.register(10)
    assert await other.balances() == (10, 0, 0)
    assert await reason(other.settle(hold_id, "a", capture=1)) == "HOLD_NOT_FOUND"
    assert await reason(other("CloseHold", hold_id=hold_id)) == "HOLD_NOT_FOUND"
    assert len((await other("ListTransactions", "gateway")).transactions) == 1
    assert not (await other("ListHolds", "gateway")).holds
    # The same id is another hold, so that nobody can tell or spoil what another has.
    assert (await other("Hold", hold_id=hold_id, amount=4)).amount == 4
    assert await wallet.balances() == (900, 100, 0)
