"""Behind the gateway nobody is trusted either: every RPC of every service wants an assertion for itself, from a caller
and in a role that its contract names.
"""

import time
import uuid
from collections.abc import Iterator
from typing import Any

import grpc
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.protobuf.descriptor import MethodDescriptor

from astronote.options.v1.options_pb2 import Access, access
from deploy.local.credentials import KeyPair
from kit.identity import HEADER, LIFE_SECONDS, Identity
from tests.attack.test_tokens import by_hand
from tests.conftest import KEYS, PUBLIC_KEYS, SERVICES, TestMesh
from tests.test_architecture import METHODS, name

MERCHANT_ID = str(uuid.uuid4())
MESH = (*SERVICES, "gateway")
UNAUTHENTICATED, DENIED = grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED


def identity(service: str, seconds: float = 0.0, keys: KeyPair | None = None) -> Identity:
    """Who signs, some seconds from now, with his own key or another's."""
    return Identity(service, (keys or KEYS[service]).private, PUBLIC_KEYS, lambda: time.time() + seconds)


def forged(method: MethodDescriptor) -> Iterator[tuple[str, str | None]]:
    """Assertions that would open the method were they true."""
    service, rule = own_service(method), method.GetOptions().Extensions[access]
    caller, role, merchant_id = admitted(rule)
    made = (service, role, merchant_id)
    yield "none", None
    yield "empty", ""
    yield "garbage", "a.b.c"
    other = next(each for each in SERVICES if each != service)
    yield "for another service", identity(caller).assertion(other, role, merchant_id)
    yield "expired", identity(caller, -LIFE_SECONDS - 5).assertion(*made)
    yield "of tomorrow", identity(caller, 86_400).assertion(*made)
    yield (
        "with another service's key",
        identity(caller, keys=KEYS[other if other != caller else "sender"]).assertion(*made),
    )
    yield "with a stranger's key", identity(caller, keys=KeyPair.generate()).assertion(*made)
    yield "of a service that is none", identity("stranger", keys=KeyPair.generate()).assertion(*made)
    now = int(time.time())
    claims = {"iss": caller, "aud": service, "iat": now, "exp": now + 60, "role": role, "sub": merchant_id, "uid": ""}
    head = {"typ": "mesh+jwt"}
    yield "alg none", by_hand({**head, "alg": "none"}, claims, None)
    yield "HS256 with the public key", by_hand({**head, "alg": "HS256"}, claims, PUBLIC_KEYS[caller].encode())
    key = Ed25519PrivateKey.from_private_bytes(identity(caller)._private_key.private_bytes_raw())
    yield "type of an access token", jwt.encode(claims, key, algorithm="EdDSA", headers={"typ": "at+jwt"})
    yield "for two services", jwt.encode({**claims, "aud": [service, other]}, key, algorithm="EdDSA", headers=head)
    good = identity(caller).assertion(*made)
    yield "cut", good[:-2]
    yield "twice", f"{good}, {good}"


def misused(method: MethodDescriptor) -> Iterator[tuple[str, str]]:
    """True assertions, of callers and in roles that the contract does not name."""
    service, rule = own_service(method), method.GetOptions().Extensions[access]
    role = Access.Caller.Name(rule.caller).lower()
    gateway = identity("gateway")
    for wrong in {"public", "merchant", "webhook", "operator", "internal", "Merchant", "admin", ""} - {role, "service"}:
        if rule.caller != Access.PUBLIC:
            yield f"the gateway as {wrong or 'nobody'}", gateway.assertion(service, wrong, MERCHANT_ID)
    for other in MESH:
        if other not in rule.services:
            yield f"{other} as itself", identity(other).assertion(service, "service", MERCHANT_ID)
        if other != "gateway":
            yield f"{other} as the gateway's {role}", identity(other).assertion(service, role, MERCHANT_ID)
    if rule.caller == Access.MERCHANT:
        for merchant_id in ("", "me", MERCHANT_ID.upper(), f"{MERCHANT_ID} "):
            yield f"for the merchant {merchant_id!r}", gateway.assertion(service, "merchant", merchant_id)
    for listed in rule.services:
        merchant_id = MERCHANT_ID if rule.no_merchant or rule.caller == Access.OPERATOR else ""
        yield f"{listed} for {merchant_id or 'nobody'}", identity(listed).assertion(service, "service", merchant_id)


def admitted(rule: Any) -> tuple[str, str, str]:
    """Who may call: service, role, merchant."""
    if rule.caller == Access.INTERNAL:
        return rule.services[0], "service", "" if rule.no_merchant else MERCHANT_ID
    return "gateway", Access.Caller.Name(rule.caller).lower(), MERCHANT_ID if rule.caller == Access.MERCHANT else ""


def own_service(method: MethodDescriptor) -> str:
    """`operations` is answered by every service that it is about, in the same way."""
    package = str(method.containing_service.file.package.split(".")[1])
    return "campaigns" if package == "operations" else package


async def code(mesh: TestMesh, method: MethodDescriptor, assertion: str | None) -> grpc.StatusCode:
    """How an empty request ends."""
    channel = (await mesh.service(own_service(method))).channel
    path = f"/{method.containing_service.full_name}/{method.name}"
    metadata = ((HEADER, assertion),) if assertion is not None else ()
    try:
        if method.client_streaming:
            await channel.stream_unary(path)(iter([b""]), metadata=metadata, timeout=10)
        elif method.server_streaming:
            _ = [message async for message in channel.unary_stream(path)(b"", metadata=metadata, timeout=10)]
        else:
            await channel.unary_unary(path)(b"", metadata=metadata, timeout=10)
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


@pytest.mark.parametrize("method", METHODS, ids=name)
async def test_no_rpc_is_answered_without_a_true_assertion_for_its_service(
    method: MethodDescriptor, mesh: TestMesh
) -> None:
    for attack, assertion in forged(method):
        assert await code(mesh, method, assertion) == UNAUTHENTICATED, attack


@pytest.mark.parametrize("method", METHODS, ids=name)
async def test_no_rpc_is_answered_to_whom_its_contract_does_not_name(method: MethodDescriptor, mesh: TestMesh) -> None:
    for attack, assertion in misused(method):
        assert await code(mesh, method, assertion) == DENIED, attack


async def test_who_is_named_is_answered(mesh: TestMesh) -> None:
    """Otherwise the refusals above would say nothing. An empty request may be refused, but not its caller."""
    refused = []
    for method in METHODS:
        caller, role, merchant_id = admitted(method.GetOptions().Extensions[access])
        found = await code(mesh, method, identity(caller).assertion(own_service(method), role, merchant_id))
        # A password or a secret that is wrong ends like that as well, behind the same door.
        if found == DENIED or (found == UNAUTHENTICATED and role == "merchant"):
            refused.append(name(method))
    # Of a merchant's calls only a person's may change keys and passwords: the caller here is no user.
    assert all(each.startswith("astronote.accounts.") for each in refused), refused
