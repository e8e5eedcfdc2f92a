"""Whatever becomes of Stripe's events on their way, the wallet ends the same: in any order, with any repeats, and with
any losses, which the nightly repair makes good.
"""

import grpc
from hypothesis import given, settings
from hypothesis import strategies as st

from astronote.wallet.v1.wallet_pb2 import Subscription
from services.wallet.store import WalletStore
from tests.conftest import TestMesh
from tests.wallet.buyer import Buyer, Till, operate
from tests.wallet.client import new_id

# After each thing that happens: which of the events so far arrive, by their place, again and again for all we know.
arrivals = st.lists(st.integers(0, 30), max_size=5)


@settings(max_examples=3, deadline=None, derandomize=True)
@given(st.lists(arrivals, min_size=9, max_size=9), st.booleans(), st.booleans())
async def test_any_order_repeats_and_losses_end_in_the_same_wallet(
    mesh: TestMesh, till: Till, heard: list[list[int]], is_won: bool, is_refund_taken: bool
):
    """1,000 credits for 55.80, a plan, a quarter refunded, a tenth refunded or not after all, a half disputed."""
    await till.forget()
    buyer, rounds = await Buyer.register_one(mesh, till), iter(heard)

    async def arrive() -> None:
        events = await buyer.events()
        await buyer.hear([events[place % len(events)] for place in next(rounds)])

    page = await buyer.checkout(1000)
    await till.press(page.url)
    await arrive()
    payment = (await till.session(page.url)).payment_intent
    spent = await spend(buyer, 700)
    await till.refund(payment, amount=1395)
    await arrive()
    plan = await buyer.subscribe("starter")
    await till.press(plan.url)
    await arrive()
    refund = await till.refund(payment, amount=558)
    await arrive()
    spent += await spend(buyer, 200)
    dispute = await till.control("dispute", payment_intent=payment, amount=2790)
    await arrive()
    if not is_refund_taken:
        await till.control("refunds:fail", refund=refund.id)
    await arrive()
    await till.control("disputes:close", dispute=dispute["id"], status="won" if is_won else "lost")
    await arrive()
    await till.control("advance", days=31)
    await arrive()
    await operate(mesh, "RepairStripeEvents")
    await arrive()
    buyer.heard |= {event["id"] for event in await buyer.events()}
    await buyer.hear([])
    bought = 1000 - 250 - (100 if is_refund_taken else 0) - (0 if is_won else 500)
    left = bought + 2 * 100 - spent
    assert await buyer.shown() == (max(left, 0), max(-left, 0))
    wallet = await buyer("GetWallet", "gateway")
    assert (wallet.purchased, wallet.granted, wallet.spent) == (bought, 200, spent)
    assert (wallet.subscription.plan, wallet.subscription.state) == ("starter", Subscription.ACTIVE)
    async with WalletStore.open_pipeline(mesh.app("wallet").database) as store:
        assert await store.discrepancies() == 0


async def spend(buyer: Buyer, amount: int) -> int:
    """What could be spent of so much: nothing, where nothing has arrived."""
    hold_id = new_id()
    try:
        await buyer("Hold", hold_id=hold_id, amount=amount)
    except grpc.aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.FAILED_PRECONDITION:
            raise
        return 0
    await buyer.settle(hold_id, "a", capture=amount)
    await buyer("CloseHold", hold_id=hold_id, captured=amount)
    return amount
