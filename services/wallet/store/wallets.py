"""Statements over the balances, a row a merchant."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from astronote.wallet.v1.wallet_pb2 import Wallet
from kit import rows
from kit.store import Store
from services.wallet.errors import WalletNotFound
from services.wallet.tables import wallets

BALANCES = rows.columns(Wallet, wallets)


class WalletStatements(Store):
    async def open_wallet(self, now: datetime) -> None:
        """Opens the merchant's wallet, unless it is open."""
        row = {"merchant_id": self.merchant_id, "create_time": now}
        await self.connection.execute(insert(wallets).values(row).on_conflict_do_nothing())

    async def is_open(self) -> bool:
        query = select(wallets.c.merchant_id).where(wallets.c.merchant_id == self.merchant_id)
        return (await self.connection.execute(query)).one_or_none() is not None

    async def wallet(self) -> Wallet:
        """Without its subscription."""
        query = select(*BALANCES).where(wallets.c.merchant_id == self.merchant_id)
        return rows.message(Wallet, (await self.connection.execute(query)).one())

    async def locked_wallet(self) -> Wallet:
        """Locked until the commit. Refuses `WalletNotFound`."""
        query = select(*BALANCES).where(wallets.c.merchant_id == self.merchant_id).with_for_update()
        row = (await self.connection.execute(query)).one_or_none()
        if row is None:
            raise WalletNotFound(merchant_id=self.merchant_id)
        return rows.message(Wallet, row)
