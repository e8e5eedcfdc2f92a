"""The merchant's country, asked of accounts and remembered for a minute."""

import time
from collections.abc import Callable

import grpc

from astronote.accounts.v1.accounts_pb2 import GetMerchantRequest
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
        self._kept: dict[str, tuple[float, str]] = {}

    async def of(self, merchant_id: str) -> str:
        """ISO 3166-1 alpha-2. Refuses `AccountsUnavailable`, since a guess would text the wrong person."""
        ask_time, country = self._kept.get(merchant_id, (0.0, ""))
        if not country or self._clock() - ask_time > KEEP_SECONDS:
            country = await self._asked(merchant_id)
            if len(self._kept) >= KEPT_MAX:
                self._kept.clear()
            self._kept[merchant_id] = (self._clock(), country)
        return country

    async def normalized(self, phone: str, merchant_id: str) -> str:
        """E.164; accounts is asked only where the number does not say its country.

        Refuses `PhoneInvalid`, `AccountsUnavailable`.
        """
        try:
            return phones.normalized(phone)
        except phones.CountryNeeded:
            return phones.normalized(phone, await self.of(merchant_id))

    async def _asked(self, merchant_id: str) -> str:
        try:
            merchant = await self._stub.GetMerchant(
                GetMerchantRequest(), metadata=self._accounts.metadata(merchant_id), timeout=TIMEOUT_SECONDS
            )
        except grpc.aio.AioRpcError as error:
            raise AccountsUnavailable(field="contact.phone", code=error.code().name) from error
        if not merchant.country:
            raise AccountsUnavailable(field="contact.phone", code="NO_COUNTRY")
        return merchant.country
