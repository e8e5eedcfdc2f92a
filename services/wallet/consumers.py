"""What the wallet does when it hears of something."""

import hashlib
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime

from astronote.accounts.v1.events_pb2 import MerchantRegistered
from astronote.wallet.v1.wallet_pb2 import Transaction, Wallet
from kit.app import App
from kit.bus import Consumer, Delivery
from kit.store import Database
from services.wallet import ledger
from services.wallet.settings import Settings
from services.wallet.store import Journal, WalletStore

# Whatever was given before under this key was the welcome: hence no hash of the amount.
KEY, HASH = "welcome", hashlib.sha256(b"welcome").digest()


def registrations(app: App[Settings]) -> Consumer:
    settings = app.settings
    return Consumer(
        MerchantRegistered, Welcome(app.database, settings.welcome_credits, settings.welcome_plan).handle, concurrency=4
    )


@dataclass(frozen=True)
class Welcome:
    """Opens the wallet of a new merchant with what it begins with. The ledger's key makes a repeat harmless, and the
    transaction is the merchant's own.
    """

    database: Database
    credits: int = 0
    plan: str = ""

    async def handle(self, event: MerchantRegistered, delivery: Delivery) -> None:
        journal = Journal(str(uuid.uuid4()), KEY, HASH, Transaction.GRANT, datetime.now(UTC), reason="welcome")
        async with WalletStore.open(self.database, event.merchant_id) as store:
            await store.open_wallet(journal.create_time)
            wallet = await store.locked_wallet()
            if self.credits and await store.booked(KEY, HASH, Wallet) is None:
                await store.book(journal, ledger.grant(wallet, self.credits), Wallet())
            if self.plan:
                await store.begin_subscription(self.plan)
