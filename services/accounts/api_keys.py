"""The RPCs about the keys of a merchant's own programs.

A key is `ar_live_` and 32 random bytes; only its SHA-256 is kept. Revoked is deleted: it is refused here at once, and
at the gateways as soon as what they remember is old (`services/gateway/api_keys.py`).
"""

import hashlib
import secrets
import uuid
from datetime import UTC, datetime

from google.protobuf.empty_pb2 import Empty

from astronote.accounts.v1 import accounts_pb2 as pb
from astronote.accounts.v1 import accounts_pb2_grpc as rpc
from kit import caller, pages, rows
from kit.interceptors import Context
from kit.store import Database
from services.accounts.errors import (
    ApiKeyNameInvalid,
    ApiKeyNotFound,
    ApiKeysTooMany,
    LoginNeeded,
    ScopesInvalid,
)
from services.accounts.store import AccountStore

PREFIX = "ar_live_"
SECRET_BYTES = 32
NAME_LENGTH_MAX = 100
KEYS_MAX = 100


class ApiKeys(rpc.ApiKeysServiceServicer):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def CreateApiKey(self, request: pb.CreateApiKeyRequest, context: Context) -> pb.ApiKey:
        _check_login()
        now, text = datetime.now(UTC), PREFIX + secrets.token_urlsafe(SECRET_BYTES)
        key = pb.ApiKey(id=str(uuid.uuid4()), name=_name(request.api_key.name), scopes=_scopes(request.api_key))
        key.create_time.FromDatetime(now)
        async with AccountStore.open(self._database, caller.merchant_id()) as store:
            await store.lock_merchant()
            if await store.count_api_keys() >= KEYS_MAX:
                raise ApiKeysTooMany
            await store.add_api_key(key, hashlib.sha256(text.encode()).digest())
        key.key = text
        return key

    async def ListApiKeys(self, request: pb.ListApiKeysRequest, context: Context) -> pb.ListApiKeysResponse:
        _check_login()
        limit, after = pages.size(request.page_size), pages.after(request.page_token, pages.uuid)
        async with AccountStore.open(self._database, caller.merchant_id()) as store:
            found = await store.api_keys(after, limit)
        return pb.ListApiKeysResponse(api_keys=found, next_page_token=pages.token(found, limit, lambda key: key.id))

    async def DeleteApiKey(self, request: pb.DeleteApiKeyRequest, context: Context) -> Empty:
        _check_login()
        async with AccountStore.open(self._database, caller.merchant_id()) as store:
            await store.delete_api_key(rows.uuid(request.id, ApiKeyNotFound))
        return Empty()

    async def ResolveApiKey(self, request: pb.ResolveApiKeyRequest, context: Context) -> pb.ResolvedApiKey:
        # The key says which merchant it is: looked up across all of them.
        async with AccountStore.open_pipeline(self._database) as store:
            return await store.resolve_api_key(request.key_hash, datetime.now(UTC))


def _check_login() -> None:
    """A key that could make keys would outlive its own end. Refuses `LoginNeeded`."""
    if not caller.current().user_id:
        raise LoginNeeded


def _name(text: str) -> str:
    """Refuses `ApiKeyNameInvalid`."""
    name = " ".join(text.split())
    if not 1 <= len(name) <= NAME_LENGTH_MAX or not name.isprintable():
        raise ApiKeyNameInvalid(field="api_key.name", length_max=NAME_LENGTH_MAX)
    return name


def _scopes(key: pb.ApiKey) -> list["pb.ApiKey.Scope.ValueType"]:
    """Both where none is named. Refuses `ScopesInvalid`."""
    every = {pb.ApiKey.READ, pb.ApiKey.WRITE}
    if not every.issuperset(key.scopes):
        raise ScopesInvalid(field="api_key.scopes")
    return sorted(set(key.scopes) or every)
