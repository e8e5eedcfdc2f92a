"""A client of the wallet, as the tests speak to it."""

import uuid
from collections.abc import Awaitable
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from astronote.accounts.v1.events_pb2 import MerchantRegistered
from astronote.wallet.v1 import wallet_pb2 as pb
from astronote.wallet.v1.wallet_pb2_grpc import WalletServiceStub
from kit.inbox import Delivery
from services.wallet.consumers import Consumers
from services.wallet.welcome import Welcome


class Client:
    """Speaks to the wallet about one merchant, in the name that the call needs."""

    def __init__(self, mesh: Any, merchant_id: str) -> None:
        self.mesh, self.merchant_id = mesh, merchant_id

    async def __call__(self, method: str, caller: str = "campaigns", **fields: Any) -> Any:
        peer = await self.mesh.service("wallet", caller=caller)
        request = getattr(pb, f"{method}Request")(**fields)
        metadata = peer.metadata(self.merchant_id, role="merchant" if caller == "gateway" else "service")
        return await getattr(WalletServiceStub(peer.channel), method)(request, metadata=metadata, timeout=20)

    async def register(self, credits: int = 0, plan: str = "") -> None:
        await self.mesh.service("wallet")
        consumers = Consumers(self.mesh.app("wallet").database, Welcome(credits, plan))
        await consumers.on_registered(MerchantRegistered(merchant_id=self.merchant_id), delivery())

    async def open(self, credits: int) -> None:
        """For a merchant of accounts': of its own event and ours either may be the first."""
        await self.register()
        await self.grant(credits)

    async def grant(self, amount: int, request_id: str = "", **fields: Any) -> pb.Wallet:
        """As an operator."""
        fields = {"merchant_id": self.merchant_id, "reason": "a test", "request_id": request_id or new_id()} | fields
        peer = await self.mesh.service("wallet")
        request, stub = pb.GrantCreditsRequest(amount=amount, **fields), WalletServiceStub(peer.channel)
        return await stub.GrantCredits(request, metadata=peer.metadata(role="operator"), timeout=20)

    async def settle(self, hold_id: str, key: str, capture: int = 0, release: int = 0) -> pb.HoldRecord:
        return await self("Settle", "sender", hold_id=hold_id, key=key, capture=capture, release=release)

    async def balances(self) -> tuple[int, int, int]:
        wallet = await self("GetWallet")
        return wallet.available, wallet.held, wallet.spent


def delivery() -> Delivery:
    async def in_progress() -> None: ...

    return Delivery("test", in_progress)


async def refused(call: Awaitable[Any]) -> tuple[str, dict[str, str]]:
    """Reason and metadata of what a call was refused with."""
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    trailer = dict(raised.value.trailing_metadata() or ())["grpc-status-details-bin"]
    info = ErrorInfo()
    Status.FromString(trailer).details[0].Unpack(info)
    return info.reason, dict(info.metadata)


async def reason(call: Awaitable[Any]) -> str:
    return (await refused(call))[0]


def new_id() -> str:
    return str(uuid.uuid4())
