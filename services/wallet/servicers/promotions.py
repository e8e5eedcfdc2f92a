"""The RPC over credits that expire."""

from astronote.wallet.v1 import promotions_pb2 as pb
from astronote.wallet.v1 import promotions_pb2_grpc as rpc
from kit import caller
from kit.interceptors import Context
from kit.store import Database
from services.wallet import promotions
from services.wallet.store import WalletStore


class Promotions(rpc.PromotionsServiceServicer):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def ListPromotions(self, request: pb.ListPromotionsRequest, context: Context) -> pb.ListPromotionsResponse:
        async with WalletStore.open(self._database, caller.merchant_id()) as store:
            found, used = await store.promotions()
            if found:
                promotions.count(found, await store.wallet(), used)
        return pb.ListPromotionsResponse(promotions=[each for each in found if each.remaining])
