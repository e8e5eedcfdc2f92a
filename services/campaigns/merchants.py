"""What accounts says of a merchant, as a campaign needs it."""

import re

from astronote.accounts.v1.accounts_pb2 import GetMerchantRequest, Merchant
from astronote.accounts.v1.accounts_pb2_grpc import MerchantsServiceStub
from kit.channel import Peer

TIMEOUT_SECONDS = 5
SENDER_NAME = re.compile(r"[A-Za-z0-9]{3,11}|\+[1-9]\d{7,14}")


class Merchants:
    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._stub = MerchantsServiceStub(peer.channel)

    async def get(self, merchant_id: str) -> Merchant:
        metadata = self._peer.metadata(merchant_id)
        return await self._stub.GetMerchant(GetMerchantRequest(), metadata=metadata, timeout=TIMEOUT_SECONDS)
