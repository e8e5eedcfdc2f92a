"""Opening a wallet, with what a new merchant begins with."""

import hashlib
import uuid
from dataclasses import dataclass
from datetime import datetime

from astronote.wallet.v1.wallet_pb2 import Transaction, Wallet
from services.wallet import ledger
from services.wallet.store import WalletStore
from services.wallet.store.journals import Journal

# Whatever was given before under this key was the welcome: hence no hash of the amount.
KEY, HASH = "welcome", hashlib.sha256(b"welcome").digest()


@dataclass(frozen=True)
class Welcome:
    """Credits and a plan. The ledger's key makes a repeat harmless."""

    credits: int = 0
    plan: str = ""

    async def open(self, store: WalletStore, now: datetime) -> None:
        """Opens the wallet of the store's merchant, unless it is open. A merchant can be faster than its event."""
        if await store.is_open():
            return
        await store.open_wallet(now)
        wallet = await store.locked_wallet()
        if self.credits and await store.booked(KEY, HASH, Wallet) is None:
            journal = Journal(str(uuid.uuid4()), KEY, HASH, Transaction.GRANT, now, reason="welcome")
            await store.book(journal, ledger.grant(wallet, self.credits), Wallet())
        if self.plan:
            await store.begin_subscription(self.plan)
