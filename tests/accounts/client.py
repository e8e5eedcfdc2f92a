"""A client of accounts, as the tests speak to it."""

import uuid
from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

import grpc
import jwt
import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from sqlalchemy import text

from astronote.accounts.v1 import accounts_pb2 as pb
from astronote.accounts.v1.accounts_pb2_grpc import AuthServiceStub, MerchantsServiceStub
from services.accounts.store import AccountStore

PASSWORD = "ένας καλός κωδικός"


class Client:
    """Speaks to accounts as the public, or as the merchant that it registered."""

    def __init__(self, mesh: Any) -> None:
        self.mesh, self.merchant_id, self.email = mesh, "", f"{uuid.uuid4()}@shop.example"
        # Where the gateway says that it was asked from.
        self.address = ""

    async def auth(self, method: str, **fields: Any) -> Any:
        peer = await self.mesh.service("accounts")
        request = getattr(pb, f"{method}Request")(**fields)
        call = getattr(AuthServiceStub(peer.channel), method)
        metadata = (*peer.metadata(role="public"), ("x-client-address", self.address))
        return await call(request, metadata=metadata, timeout=30)

    async def as_user(self, stub: Any, method: str, request: Any, user_id: str) -> Any:
        """A call on behalf of a user of this merchant; of an API key where there is no user."""
        peer = await self.mesh.service("accounts")
        metadata = (*peer.metadata(self.merchant_id, "merchant", user_id), ("x-client-address", self.address))
        return await getattr(stub(peer.channel), method)(request, metadata=metadata, timeout=30)

    async def register(self, **fields: Any) -> pb.Session:
        fields = {"email": self.email, "password": PASSWORD, "company": "Καφέ Νότος"} | fields
        session = await self.auth("Register", **fields)
        self.merchant_id = session.merchant.id
        return session

    async def login(self, password: str = PASSWORD, email: str = "") -> pb.Session:
        return await self.auth("Login", email=email or self.email, password=password)

    async def refresh(self, token: str) -> pb.Session:
        return await self.auth("Refresh", refresh_token=token)

    async def get(self, caller: str = "gateway") -> pb.Merchant:
        peer = await self.mesh.service("accounts", caller=caller)
        metadata = peer.metadata(self.merchant_id, role="merchant" if caller == "gateway" else "service")
        return await MerchantsServiceStub(peer.channel).GetMerchant(
            pb.GetMerchantRequest(), metadata=metadata, timeout=5
        )

    async def update(self, *paths: str, **fields: Any) -> pb.Merchant:
        peer = await self.mesh.service("accounts")
        request = pb.UpdateMerchantRequest(merchant=pb.Merchant(**fields))
        request.update_mask.paths.extend(paths)
        metadata = peer.metadata(self.merchant_id, role="merchant")
        return await MerchantsServiceStub(peer.channel).UpdateMerchant(request, metadata=metadata, timeout=5)

    async def claims(self, token: str) -> dict[str, Any]:
        """What a verifier reads from an access token, with nothing but the published keys."""
        keys = {key.kid: key for key in (await self.auth("GetKeys")).keys}
        key = keys[jwt.get_unverified_header(token)["kid"]]
        public = jwt.PyJWK({"kty": key.kty, "crv": key.crv, "x": key.x, "alg": key.alg})
        return jwt.decode(token, public, algorithms=["EdDSA"], audience="astronote", issuer="astronote")


class Clock:
    """What accounts takes for the time of a login: it stands still, so that no count depends on a test's pace."""

    def __init__(self) -> None:
        self._time = datetime.now(UTC)

    def now(self, zone: tzinfo) -> datetime:
        return self._time.astimezone(zone)

    def advance(self, seconds: float) -> None:
        self._time += timedelta(seconds=seconds)


async def column(mesh: Any, statement: str, **parameters: Any) -> list[Any]:
    """The first column, as the pipeline sees it."""
    async with AccountStore.open_pipeline(mesh.app("accounts").database) as store:
        return list(await store.connection.scalars(text(statement), parameters))


async def refused(call: Awaitable[Any]) -> tuple[str, str]:
    """Reason and field of what a call was refused with."""
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    trailer = dict(raised.value.trailing_metadata() or ())["grpc-status-details-bin"]
    info = ErrorInfo()
    Status.FromString(trailer).details[0].Unpack(info)
    return info.reason, info.metadata.get("field", "")
