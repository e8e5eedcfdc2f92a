"""The life of a stand-in: opens the book and posts events."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from deploy.local.stand_in import StandIn
from deploy.local.stripe.api import Api
from deploy.local.stripe.book import Book
from deploy.local.stripe.control import Control
from deploy.local.stripe.deliveries import Deliveries
from deploy.local.stripe.payments import Payments
from deploy.local.stripe.routes import Routes
from deploy.local.stripe.sessions import Sessions
from deploy.local.stripe.subscriptions import Subscriptions


class StripeStandIn(StandIn):
    """Without `webhook_url` nothing is posted. With `data`, a folder, what it knows and has still to post survive."""

    def __init__(
        self,
        *,
        secret_key: str,
        webhook_url: str = "",
        webhook_secret: str = "",
        data: Path | None = None,
        port: int = 0,
    ) -> None:
        super().__init__(port)
        self._secret_key, self._data = secret_key, data
        self._deliveries = Deliveries(webhook_url, webhook_secret)

    def open(self) -> Callable[..., Any]:
        book = Book(self._data, self._deliveries.post)
        payments = Payments(book)
        subscriptions = Subscriptions(book, payments)
        sessions = Sessions(book, payments, subscriptions, f"{self.url}/pay/")
        api = Api(book, payments, sessions, subscriptions, f"{self.url}/portal/")
        control = Control(book, payments, sessions, subscriptions)
        self._deliveries.start(book)
        return Routes(self._secret_key, book, api, sessions, control).app

    async def close(self) -> None:
        await self._deliveries.stop()
