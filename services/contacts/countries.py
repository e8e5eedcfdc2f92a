"""The merchant's country and time zone, asked of accounts and remembered for a minute."""

import math
import time
from collections.abc import Callable

import grpc

from astronote.accounts.v1.accounts_pb2 import GetMerchantRequest, Merchant
from astronote.accounts.v1.accounts_pb2_grpc import MerchantsServiceStub
from kit.channel import Peer
from services.contacts import phones
from services.contacts.errors import AccountsUnavailable

KEEP_SECONDS = 60.0
KEPT_MAX = 10_000
TIMEOUT_SECONDS = 3.0


class Countries:
    """One a process."""

    def __init__(self, accounts: Peer, clock: Callable[[], float] = time.monotonic) -> None:
        self._accounts, self._clock = accounts, clock
        self._stub = MerchantsServiceStub(accounts.channel)
        self._kept: dict[str, tuple[float, Merchant]] = {}

    async def of(self, merchant_id: str) -> str:
        """ISO 3166-1 alpha-2. Refuses `AccountsUnavailable`, since a guess would text the wrong person."""
        country = (await self._merchant(merchant_id)).country
        if not country:
            raise AccountsUnavailable(code="NO_COUNTRY")
        return country

    async def time_zone(self, merchant_id: str) -> str:
        """IANA name. Refuses `AccountsUnavailable`."""
        return (await self._merchant(merchant_id)).time_zone or "UTC"

    async def normalized(self, phone: str, merchant_id: str) -> str:
        """E.164; accounts is asked only where the number does not say its country.

        Refuses `PhoneInvalid`, `AccountsUnavailable`.
        """
        try:
            return phones.normalized(phone)
        except phones.CountryNeeded:
            return phones.normalized(phone, await self.of(merchant_id))

    async def _merchant(self, merchant_id: str) -> Merchant:
        ask_time, merchant = self._kept.get(merchant_id, (-math.inf, Merchant()))
        if self._clock() - ask_time > KEEP_SECONDS:
            merchant = await self._asked(merchant_id)
            if len(self._kept) >= KEPT_MAX:
                self._kept.clear()
            self._kept[merchant_id] = (self._clock(), merchant)
        return merchant

    async def _asked(self, merchant_id: str) -> Merchant:
        try:
            return await self._stub.GetMerchant(
                GetMerchantRequest(), metadata=self._accounts.metadata(merchant_id), timeout=TIMEOUT_SECONDS
            )
        except grpc.aio.AioRpcError as error:
            raise AccountsUnavailable(code=error.code().name) from error
