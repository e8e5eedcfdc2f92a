"""Says that a merchant has come to have few credits, whatever took the others: a hold, a promotion's end, a refund."""

from astronote.wallet.v1.events_pb2 import BalanceLow
from services.wallet import guards
from services.wallet.store import WalletStore


async def tell(store: WalletStore, before: int, after: int, low_balance_credits: int) -> None:
    """With what the store books; `before` and `after` are what is available. 0 credits: the merchant wants no word."""
    if guards.falls_low(before, after, low_balance_credits):
        low = BalanceLow(merchant_id=store.merchant_id, available=after, low_balance_credits=low_balance_credits)
        await store.emit(low)
