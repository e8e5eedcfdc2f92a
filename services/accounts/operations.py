"""The RPCs that operators have of accounts."""

from datetime import UTC, datetime

from astronote.accounts.v1 import operations_pb2 as pb
from astronote.accounts.v1 import operations_pb2_grpc as rpc
from kit import pages
from kit.interceptors import Context
from kit.store import Database
from services.accounts import credentials
from services.accounts.rotation import SigningKeys
from services.accounts.signing import SigningKey
from services.accounts.store import AccountStore


class Operations(rpc.AccountOperationsServiceServicer):
    def __init__(self, database: Database, keys: SigningKeys) -> None:
        self._database, self._keys = database, keys

    async def ListMerchants(self, request: pb.ListMerchantsRequest, context: Context) -> pb.ListMerchantsResponse:
        limit, after = pages.size(request.page_size), pages.after(request.page_token, pages.uuid)
        query = credentials.normal_email(request.query) if "@" in request.query else request.query.strip()
        async with AccountStore.open_pipeline(self._database) as store:
            page = await store.merchant_page(query, after, limit)
        token = pages.token(page, limit, lambda merchant: merchant.id)
        return pb.ListMerchantsResponse(merchants=page, next_page_token=token)

    async def ListSigningKeys(self, request: pb.ListSigningKeysRequest, context: Context) -> pb.ListSigningKeysResponse:
        return _shown(await self._keys.published(datetime.now(UTC)))

    async def RotateSigningKeys(
        self, request: pb.RotateSigningKeysRequest, context: Context
    ) -> pb.ListSigningKeysResponse:
        return _shown(await self._keys.rotate(datetime.now(UTC), is_lost=request.lost))


def _shown(keys: list[SigningKey]) -> pb.ListSigningKeysResponse:
    answer = pb.ListSigningKeysResponse()
    for key in sorted(keys, key=lambda key: key.create_time, reverse=True):
        shown = answer.signing_keys.add(kid=key.kid, state=pb.SigningKey.State.Value(key.state))
        shown.create_time.FromDatetime(key.create_time)
        if key.active_time:
            shown.active_time.FromDatetime(key.active_time)
        if key.expire_time:
            shown.expire_time.FromDatetime(key.expire_time)
    return answer
