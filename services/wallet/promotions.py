"""Which credits are spent first, where some of them expire.

A wallet has one balance, and a hold takes from it without asking whose credits they were. What it took is told
afterwards: whenever a promotion comes or ends, what was used since the last such moment is taken from the promotions
that stood meanwhile, the soonest to expire first. Between two such moments they are the same ones, so this comes to
what a count with every hold would come to, and no hold pays for it.
"""

from collections.abc import Iterable

from astronote.wallet.v1.promotions_pb2 import Promotion
from astronote.wallet.v1.wallet_pb2 import Wallet

# In one wallet at a time.
PROMOTIONS_MAX = 100


def used(wallet: Wallet) -> int:
    """Credits that are out of the balance: held, or spent."""
    return wallet.held + wallet.spent


def count(promotions: Iterable[Promotion], wallet: Wallet, used_before: int) -> None:
    """Takes from the promotions, which come soonest first, what was used since `used_before`.

    What a hold has given back since is not put back into them. More than is available they never have.
    """
    found = list(promotions)
    remaining = sum(each.remaining for each in found)
    taken = max(used(wallet) - used_before, remaining - wallet.available, 0)
    for each in found:
        share = min(each.remaining, taken)
        each.remaining -= share
        taken -= share
