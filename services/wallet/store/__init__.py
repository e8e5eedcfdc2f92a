"""All SQL of the wallet.

Locks: a transaction takes at most one purchase or hold, then a merchant's limits, then at most one wallet, in this
order, so that none waits in a circle.
Whoever holds the lock of a hold (or, where there is no hold, of the wallet) alone books under its keys.
"""

from services.wallet.store.audit import AuditStatements
from services.wallet.store.catalogue import CatalogueStatements
from services.wallet.store.guards import GuardStatements
from services.wallet.store.holds import HoldStatements
from services.wallet.store.journals import JournalStatements
from services.wallet.store.promotions import PromotionStatements
from services.wallet.store.purchases import PurchaseStatements
from services.wallet.store.statements import StatementStatements
from services.wallet.store.stripe_events import StripeEventStatements
from services.wallet.store.subscriptions import SubscriptionStatements
from services.wallet.store.top_ups import TopUpStatements
from services.wallet.store.wallets import WalletStatements


class WalletStore(
    JournalStatements,
    WalletStatements,
    HoldStatements,
    SubscriptionStatements,
    PurchaseStatements,
    StripeEventStatements,
    TopUpStatements,
    CatalogueStatements,
    GuardStatements,
    PromotionStatements,
    StatementStatements,
    AuditStatements,
):
    """Every statement, in one transaction."""
