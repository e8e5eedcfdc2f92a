"""The RPCs about the merchant that asks."""

from astronote.accounts.v1 import accounts_pb2 as pb
from astronote.accounts.v1 import accounts_pb2_grpc as rpc
from kit import caller, rows
from kit.interceptors import Context
from kit.store import Database
from services.accounts import profile
from services.accounts.store import AccountStore

WRITABLE = frozenset(profile.CHECKS)


class Merchants(rpc.MerchantsServiceServicer):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def GetMerchant(self, request: pb.GetMerchantRequest, context: Context) -> pb.Merchant:
        async with AccountStore.open(self._database, caller.merchant_id()) as store:
            return await store.merchant(caller.merchant_id())

    async def UpdateMerchant(self, request: pb.UpdateMerchantRequest, context: Context) -> pb.Merchant:
        paths = rows.paths(request.update_mask, request.merchant, WRITABLE)
        profile.check(request.merchant, paths, "merchant.")
        async with AccountStore.open(self._database, caller.merchant_id()) as store:
            if not paths:
                return await store.merchant(caller.merchant_id())
            return await store.update_merchant(caller.merchant_id(), request.merchant, paths)
