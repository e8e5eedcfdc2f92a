"""API keys: shown once, stored hashed, revocable, and only a person's to manage."""

import asyncio
import hashlib
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from sqlalchemy import text

from astronote.accounts.v1 import accounts_pb2 as pb
from astronote.accounts.v1.accounts_pb2_grpc import ApiKeysServiceStub
from services.accounts import api_keys
from services.accounts.store import AccountStore
from tests.accounts.client import Client, column, refused


class Owner(Client):
    user_id = str(uuid.uuid4())

    async def keys(self, method: str, **fields: Any) -> Any:
        request = getattr(pb, f"{method}Request")(**fields)
        return await self.as_user(ApiKeysServiceStub, method, request, self.user_id)

    async def make(self, name: str = "till", *scopes: int) -> pb.ApiKey:
        return await self.keys("CreateApiKey", api_key=pb.ApiKey(name=name, scopes=scopes))

    async def all(self) -> list[pb.ApiKey]:
        return list((await self.keys("ListApiKeys")).api_keys)


@pytest.fixture
async def owner(mesh: Any) -> Owner:
    owner = Owner(mesh)
    await owner.register()
    return owner


async def resolve(mesh: Any, key: str, merchant_id: str = "", role: str = "service", caller: str = "gateway") -> Any:
    peer = await mesh.service("accounts", caller=caller)
    request = pb.ResolveApiKeyRequest(key_hash=hashlib.sha256(key.encode()).digest())
    metadata = peer.metadata(merchant_id, role)
    return await ApiKeysServiceStub(peer.channel).ResolveApiKey(request, metadata=metadata, timeout=10)


async def test_a_key_is_shown_once_and_rests_hashed(owner: Owner, mesh: Any):
    made = await owner.make("  the\n till ")
    assert made.key.startswith("ar_live_")
    assert len(made.key) == len("ar_live_") + 43
    assert (made.name, list(made.scopes)) == ("the till", [pb.ApiKey.READ, pb.ApiKey.WRITE])
    (shown,) = await owner.all()
    assert shown.key == ""
    made.key = ""
    assert shown == made
    assert not shown.HasField("last_use_time")
    rows = await column(mesh, "SELECT api_keys::text || encode(key_hash, 'escape') FROM api_keys")
    assert not any("ar_live_" in row for row in rows)


async def test_a_key_says_whose_it_is_until_it_is_revoked(owner: Owner, mesh: Any):
    made = await owner.make("till", pb.ApiKey.READ)
    assert await resolve(mesh, made.key) == pb.ResolvedApiKey(
        id=made.id, merchant_id=owner.merchant_id, scopes=[pb.ApiKey.READ]
    )
    await owner.keys("DeleteApiKey", id=made.id)
    assert await refused(resolve(mesh, made.key)) == ("API_KEY_NOT_FOUND", "")
    assert await refused(owner.keys("DeleteApiKey", id=made.id)) == ("API_KEY_NOT_FOUND", "")
    assert await owner.all() == []


async def test_its_last_use_is_noted_to_the_minute(owner: Owner, mesh: Any):
    made = await owner.make()
    await resolve(mesh, made.key)
    (used,) = await owner.all()
    assert abs(used.last_use_time.ToDatetime(tzinfo=UTC) - datetime.now(UTC)) < timedelta(seconds=20)
    await asyncio.gather(*(resolve(mesh, made.key) for _ in range(10)))
    assert await owner.all() == [used]
    await column(
        mesh,
        "UPDATE api_keys SET last_use_time = last_use_time - interval '61 s' WHERE id = :id RETURNING 1",
        id=made.id,
    )
    await resolve(mesh, made.key)
    assert (await owner.all())[0].last_use_time.seconds >= used.last_use_time.seconds


@pytest.mark.parametrize(
    ("name", "scopes", "expected"),
    [
        ("", [], ("FIELD_REQUIRED", "api_key.name")),
        (" ", [], ("API_KEY_NAME_INVALID", "api_key.name")),
        ("a\0b", [], ("API_KEY_NAME_INVALID", "api_key.name")),
        ("x" * 101, [], ("API_KEY_NAME_INVALID", "api_key.name")),
        ("till", [0], ("SCOPES_INVALID", "api_key.scopes")),
        ("till", [7], ("SCOPES_INVALID", "api_key.scopes")),
    ],
)
async def test_making_one_names_what_is_wrong(owner: Owner, name: str, scopes: list[int], expected: tuple[str, str]):
    assert await refused(owner.make(name, *scopes)) == expected


async def test_a_key_manages_no_keys(owner: Owner):
    made = await owner.make()
    owner.user_id = ""
    for call in (owner.make(), owner.all(), owner.keys("DeleteApiKey", id=made.id)):
        assert await refused(call) == ("LOGIN_NEEDED", "")


async def test_keys_come_in_pages(owner: Owner):
    made = {(await owner.make(f"key {number}")).id for number in range(5)}
    found, token = [], ""
    while page := await owner.keys("ListApiKeys", page_size=2, page_token=token):
        found += [key.id for key in page.api_keys]
        token = page.next_page_token
        if not token:
            break
    assert len(found) == 5
    assert set(found) == made


async def test_a_merchant_has_so_many_at_most(owner: Owner, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(api_keys, "KEYS_MAX", 3)
    answers = await asyncio.gather(*(owner.make() for _ in range(10)), return_exceptions=True)
    assert sum(isinstance(answer, pb.ApiKey) for answer in answers) == 3
    assert await refused(owner.make()) == ("API_KEYS_TOO_MANY", "")


async def test_another_merchants_keys_are_not_there(owner: Owner, mesh: Any):
    made = await owner.make("Kanarina")
    stranger = Owner(mesh)
    await stranger.register()
    assert await stranger.all() == []
    for id in (made.id, made.id.upper(), "", "x"):
        expected = ("FIELD_REQUIRED", "id") if not id else ("API_KEY_NOT_FOUND", "")
        assert await refused(stranger.keys("DeleteApiKey", id=id)) == expected
    assert await resolve(mesh, made.key)
    # And so below the statements of the service.
    async with AccountStore.open(mesh.app("accounts").database, stranger.merchant_id) as store:
        assert (await store.connection.execute(text("DELETE FROM api_keys"))).rowcount == 0


async def test_only_the_gateway_asks_whose_a_key_is_and_for_no_merchant(owner: Owner, mesh: Any, merchant_id: str):
    made = await owner.make()
    for caller, role, merchant in (
        ("gateway", "public", ""),
        ("gateway", "merchant", merchant_id),
        ("gateway", "operator", ""),
        ("gateway", "service", merchant_id),
        ("wallet", "service", ""),
        ("wallet", "service", merchant_id),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await resolve(mesh, made.key, merchant, role, caller)
        assert raised.value.code() is grpc.StatusCode.PERMISSION_DENIED
    for short in (b"", b"x"):
        peer = await mesh.service("accounts")
        call = ApiKeysServiceStub(peer.channel).ResolveApiKey(
            pb.ResolveApiKeyRequest(key_hash=short), metadata=peer.metadata(), timeout=10
        )
        assert (await refused(call))[0] in ("FIELD_REQUIRED", "API_KEY_NOT_FOUND")
