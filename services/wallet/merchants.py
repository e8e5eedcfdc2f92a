"""What accounts says of a merchant, as billing needs it."""

from astronote.accounts.v1.accounts_pb2 import GetMerchantRequest, Merchant
from astronote.accounts.v1.accounts_pb2_grpc import MerchantsServiceStub
from kit.channel import Peer

TIMEOUT_SECONDS = 5


class Merchants:
    def __init__(self, peer: Peer) -> None:
        self._peer, self._stub = peer, MerchantsServiceStub(peer.channel)

    async def get(self, merchant_id: str) -> Merchant:
        """Raises `AioRpcError`, `NOT_FOUND` where there is no such merchant."""
        metadata = self._peer.metadata(merchant_id)
        return await self._stub.GetMerchant(GetMerchantRequest(), metadata=metadata, timeout=TIMEOUT_SECONDS)
