"""Gives credits for a time, and takes back what is left of them at its end."""

import hashlib
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from astronote.wallet.v1.promotions_pb2 import Promotion
from astronote.wallet.v1.wallet_pb2 import Transaction, Wallet
from kit.store import Database
from services.wallet import ledger, low_balance, promotions
from services.wallet.errors import ExpireTimeInvalid, PromotionsTooMany
from services.wallet.store import WalletStore
from services.wallet.store.journals import Journal

INTERVAL_SECONDS = 60.0
MERCHANTS_A_ROUND = 100
LIFE_MAX = timedelta(days=3660)
log = structlog.get_logger()


@dataclass(frozen=True)
class Expiry:
    """A merchant a transaction."""

    database: Database

    async def step(self) -> bool:
        now = datetime.now(UTC)
        async with WalletStore.open_pipeline(self.database) as store:
            merchant_ids = await store.expired_merchants(now, MERCHANTS_A_ROUND)
        for merchant_id in merchant_ids:
            async with WalletStore.open(self.database, merchant_id) as store:
                await expire(store, now)
        return bool(merchant_ids)


async def begin(store: WalletStore, wallet: Wallet, amount: int, expire_time: datetime, journal: Journal) -> None:
    """A promotion of credits that are about to be granted to this wallet, which is locked.

    Refuses `ExpireTimeInvalid`, `PromotionsTooMany`.
    """
    now = journal.create_time
    if not now < expire_time <= now + LIFE_MAX:
        raise ExpireTimeInvalid(field="expire_time")
    found, used = await store.promotions()
    promotions.count(found, wallet, used)
    if sum(each.remaining > 0 for each in found) >= promotions.PROMOTIONS_MAX:
        raise PromotionsTooMany(promotions_max=promotions.PROMOTIONS_MAX)
    await store.counted(found, promotions.used(wallet))
    promotion = Promotion(id=journal.id, amount=amount, remaining=amount, reason=journal.reason)
    promotion.expire_time.FromDatetime(expire_time)
    promotion.create_time.FromDatetime(now)
    await store.add_promotion(promotion, promotions.used(wallet))


async def expire(store: WalletStore, now: datetime) -> None:
    """Of the store's merchant. Where another replica was faster there is nothing left to take."""
    wallet = await store.locked_wallet()
    before = wallet.available
    found, used = await store.promotions()
    promotions.count(found, wallet, used)
    for each in found:
        if each.remaining and each.expire_time.ToDatetime(tzinfo=UTC) <= now:
            key = f"expire:{each.id}"
            kind, request_hash = Transaction.EXPIRE, hashlib.sha256(key.encode()).digest()
            journal = Journal(str(uuid.uuid4()), key, request_hash, kind, now, reason=each.reason)
            await store.book(journal, ledger.expired(each.remaining), Wallet())
            log.info("expired", merchant_id=store.merchant_id, promotion_id=each.id, credits=each.remaining)
            wallet.available -= each.remaining
            each.remaining = 0
    await store.counted(found, promotions.used(wallet))
    await low_balance.tell(store, before, wallet.available, (await store.spend_limits(now)).low_balance_credits)
