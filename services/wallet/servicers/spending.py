"""The RPCs over what bounds spending."""

from datetime import UTC, datetime

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.json_format import MessageToJson

from astronote.wallet.v1 import guards_pb2 as pb
from astronote.wallet.v1 import guards_pb2_grpc as rpc
from kit import caller, rows
from kit.interceptors import Context
from kit.store import Database
from services.wallet import guards
from services.wallet.errors import LoginNeeded
from services.wallet.merchants import Merchants
from services.wallet.store import WalletStore

LIMITS_WRITABLE = frozenset(set(pb.SpendLimits.DESCRIPTOR.fields_by_name) - {"credits_used_today"})
POLICY_WRITABLE = frozenset({"braked", "reason", "calling_codes"})


class Spending(rpc.SpendingServiceServicer):
    def __init__(self, database: Database, merchants: Merchants) -> None:
        self._database, self._merchants = database, merchants

    async def GetSpendLimits(self, request: pb.GetSpendLimitsRequest, context: Context) -> pb.SpendLimits:
        async with WalletStore.open(self._database, caller.merchant_id()) as store:
            return await store.spend_limits(datetime.now(UTC))

    async def UpdateSpendLimits(self, request: pb.UpdateSpendLimitsRequest, context: Context) -> pb.SpendLimits:
        # They bound what a stolen key can spend: so no key loosens them.
        if caller.current().api_key_id:
            raise LoginNeeded
        paths, now = rows.paths(request.update_mask, request.spend_limits, LIMITS_WRITABLE), datetime.now(UTC)
        time_zone = (await self._merchants.get(caller.merchant_id())).time_zone
        async with WalletStore.open(self._database, caller.merchant_id()) as store:
            await store.lock_spend_limits()
            limits = await store.spend_limits(now)
            FieldMask(paths=paths).MergeMessage(request.spend_limits, limits, True, True)
            guards.check_limits(limits)
            await store.set_spend_limits(limits, time_zone, now)
            return await store.spend_limits(now)

    async def GetSpendPolicy(self, request: pb.GetSpendPolicyRequest, context: Context) -> pb.SpendPolicy:
        async with WalletStore.open_pipeline(self._database) as store:
            return await store.spend_policy()

    async def UpdateSpendPolicy(self, request: pb.UpdateSpendPolicyRequest, context: Context) -> pb.SpendPolicy:
        paths, now = rows.paths(request.update_mask, request.spend_policy, POLICY_WRITABLE), datetime.now(UTC)
        async with WalletStore.open_pipeline(self._database) as store:
            await store.lock_catalogue()
            before, policy = await store.spend_policy(), pb.SpendPolicy()
            policy.CopyFrom(before)
            FieldMask(paths=paths).MergeMessage(request.spend_policy, policy, True, True)
            guards.check_policy(policy)
            policy.update_time.FromDatetime(now)
            await store.set_spend_policy(policy)
            was, is_now = (MessageToJson(each, indent=None) for each in (before, policy))
            await store.note_change(caller.current().user_id, "spendPolicy", was, is_now, now)
        return policy
