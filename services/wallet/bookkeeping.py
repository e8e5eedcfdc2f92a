"""Writes down what a look at Stripe found: the purchase, the plan, and the credits that follow from them.

A finding is the whole state of a purchase and not a step of it, so that repeats, gaps and any order end the same. A
look that began before the one that was written last changes nothing.
"""

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from prometheus_client import Counter

from astronote.wallet.v1.billing_pb2 import Purchase
from astronote.wallet.v1.wallet_pb2 import Transaction, Wallet
from kit.store import Database
from services.wallet import ledger, low_balance
from services.wallet.crediting import Change, is_as_asked, standing
from services.wallet.looking import Finding
from services.wallet.reading import Payment, Subscribed
from services.wallet.store import WalletStore
from services.wallet.store.journals import Journal
from services.wallet.store.purchases import Kept
from services.wallet.welcome import Welcome

DISCREPANT = Counter("discrepant_payments", "Payments that are not what was asked for.")
log = structlog.get_logger()


@dataclass(frozen=True)
class Bookkeeper:
    database: Database
    welcome: Welcome

    async def write(self, findings: Sequence[Finding], look: int, now: datetime) -> None:
        """Each of them in a transaction of its merchant's. Refuses `PurchaseNotFound`."""
        for finding in findings:
            async with WalletStore.open(self.database, finding.merchant_id) as store:
                if isinstance(finding, Subscribed):
                    await store.put_subscription(finding, look)
                else:
                    await self._pay(store, finding, look, now)

    async def _pay(self, store: WalletStore, payment: Payment, look: int, now: datetime) -> None:
        if payment.sold is not None:
            await store.add_sold(payment, payment.sold, now)
        purchase = await store.locked_purchase(payment.purchase_id)
        if purchase.look >= look:
            return
        state, becomes = payment.state, standing(purchase.credits, payment)
        if not is_as_asked(payment, purchase.currency, purchase.total_cents):
            state, becomes = Purchase.DISCREPANT, standing(0, payment)
            DISCREPANT.inc()
            log.error("discrepant payment", purchase_id=payment.purchase_id, paid_cents=payment.total_cents)
        gain = Transaction.GRANT if purchase.kind == Purchase.CYCLE else Transaction.PURCHASE
        await self.welcome.open(store, now)
        wallet = await store.locked_wallet()
        before = wallet.available
        for change in becomes.changes_from(purchase.standing, gain):
            wallet = await _book(store, wallet, purchase, change, look, now)
        await store.change_purchase(payment, state, becomes, look)
        if wallet.available < before:
            await low_balance.tell(store, before, wallet.available, (await store.spend_limits(now)).low_balance_credits)


async def _book(store: WalletStore, wallet: Wallet, purchase: Kept, change: Change, look: int, now: datetime) -> Wallet:
    """The wallet after it."""
    kind = Transaction.Kind.Name(change.kind).lower()
    key = f"purchase:{purchase.id}:{kind}:{look}"
    move = ledger.granted if purchase.kind == Purchase.CYCLE else ledger.purchased
    movement = move(wallet, change.credits)
    hash = hashlib.sha256(key.encode()).digest()
    reason = purchase.item or f"{purchase.credits} credits"
    await store.book(Journal(str(uuid.uuid4()), key, hash, change.kind, now, reason=reason), movement, Wallet())
    return ledger.after(wallet, movement)
