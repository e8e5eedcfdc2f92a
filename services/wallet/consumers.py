"""What the wallet does when it hears of something."""

from dataclasses import dataclass
from datetime import UTC, datetime

from astronote.accounts.v1.events_pb2 import MerchantRegistered
from kit.inbox import Delivery
from kit.store import Database
from services.wallet.store import WalletStore
from services.wallet.welcome import Welcome


@dataclass(frozen=True)
class Consumers:
    database: Database
    welcome: Welcome

    async def on_registered(self, event: MerchantRegistered, delivery: Delivery) -> None:
        """The transaction is the merchant's own; the ledger's key stands in for the inbox."""
        async with WalletStore.open(self.database, event.merchant_id) as store:
            await self.welcome.open(store, datetime.now(UTC))
