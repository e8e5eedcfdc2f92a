"""Tokens of somebody else, where the settings name him."""

import asyncio
import contextlib
import json
import socket
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx
import jwt
import pytest
import uvicorn
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm, RSAAlgorithm
from pydantic import ValidationError

from services.gateway import keys
from services.gateway.serving import Serving
from services.gateway.settings import ExternalIssuer
from tests.gateway.servicers import SIGNING_KEY, Record, claims, settings, token

RSA_KEY, OTHER_KEY = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))
NAME, AUDIENCE = "https://login.chain.example/", "astronote-chain"
MERCHANT_ID = str(uuid.uuid4())


class KeyServer:
    """A JSON Web Key Set over real HTTP, by ASGI."""

    def __init__(self) -> None:
        self.body, self.status, self.asked = b"", 200, 0
        self.publish({"kid": "one", **self.public(RSA_KEY)})

    @staticmethod
    def public(key: rsa.RSAPrivateKey) -> dict[str, Any]:
        return {"use": "sig", "alg": "RS256", **json.loads(RSAAlgorithm.to_jwk(key.public_key()))}

    def publish(self, *found: dict[str, Any]) -> None:
        self.body = json.dumps({"keys": found}).encode()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked += 1
        headers = [(b"content-type", b"application/json"), (b"location", b"http://127.0.0.1:1/")]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


@pytest.fixture
async def issuer() -> AsyncIterator[tuple[KeyServer, str]]:
    app = KeyServer()
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off", ws="none"))
    server.capture_signals = _no_signals  # type: ignore[method-assign]
    task = asyncio.create_task(server.serve(sockets=[listening]))
    yield app, f"http://127.0.0.1:{listening.getsockname()[1]}/jwks.json"
    server.should_exit = True
    await task


@pytest.fixture
async def http(
    issuer: tuple[KeyServer, str], service_ports: dict[str, int], record: Record
) -> AsyncIterator[httpx.AsyncClient]:
    external = ExternalIssuer(
        issuer=NAME, audience=AUDIENCE, jwks_url=issuer[1], token_type="JWT", merchant_claim="https://astronote/mid"
    )
    async with (
        Serving(settings(service_ports, external_issuers=[external])) as serving,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{serving.port}", trust_env=False) as client,
    ):
        yield client


def _no_signals() -> Any:
    return contextlib.nullcontext()


def signed(key: Any = RSA_KEY, algorithm: str = "RS256", headers: dict[str, Any] | None = None, **changed: Any) -> str:
    now = int(time.time())
    made = {"iss": NAME, "aud": AUDIENCE, "iat": now, "exp": now + 600, "sub": "chain|7"}
    made |= {"https://astronote/mid": MERCHANT_ID}
    payload = {name: value for name, value in (made | changed).items() if value is not None}
    # Not `jwt.encode`, which is too honest to sign some of what is tried here.
    kept = {"typ": "JWT", "kid": "one", **(headers or {})}
    return jwt.api_jws.encode(json.dumps(payload).encode(), key, algorithm=algorithm, headers=kept)


async def get(http: httpx.AsyncClient, text: str) -> int:
    return (await http.get("/v1/contacts/abc", headers={"authorization": f"Bearer {text}"})).status_code


async def test_its_tokens_are_taken_beside_ours(
    http: httpx.AsyncClient, issuer: tuple[KeyServer, str], record: Record
) -> None:
    for _ in range(3):
        assert await get(http, signed()) == 200
    assert (record.callers[0].merchant_id, record.callers[0].user_id) == (MERCHANT_ID, "chain|7")
    assert await get(http, token(MERCHANT_ID)) == 200
    assert issuer[0].asked == 1


async def test_what_it_may_not_say(http: httpx.AsyncClient) -> None:
    ours = claims(MERCHANT_ID)
    attacks = {
        "another key": signed(OTHER_KEY),
        "our audience": signed(aud="astronote"),
        "another issuer": signed(iss="https://login.other.example/"),
        "an issuer that is a list": signed(iss=[NAME]),
        "no issuer": signed(iss=None),
        "our name, its key": jwt.encode(ours, RSA_KEY, algorithm="RS256", headers={"typ": "at+jwt", "kid": "one"}),
        "its name, our key": signed(SIGNING_KEY, "EdDSA", {"kid": "key-1"}),
        "another algorithm": signed(RSA_KEY, "RS512"),
        "another type": signed(headers={"typ": "at+jwt"}),
        "an id token's type": signed(headers={"typ": "ID"}),
        "no merchant": signed(**{"https://astronote/mid": None}),
        "our claim of the merchant": signed(**{"https://astronote/mid": None, "mid": MERCHANT_ID}),
        "a merchant that is no id": signed(**{"https://astronote/mid": "me"}),
        "no user": signed(sub=None),
        "a user of a mile": signed(sub="x" * 300),
        "expired": signed(exp=int(time.time()) - 60),
        "no end": signed(exp=None),
        "HS256 with its public key": signed(b"x" * 64, "HS256"),
    }
    for name, text in attacks.items():
        assert await get(http, text) == 401, name


async def test_it_makes_no_operators(http: httpx.AsyncClient) -> None:
    headers = {"authorization": f"Bearer {signed(role='operator')}"}
    body = {"amount": 1, "reason": "r", "requestId": "q"}
    answer = await http.post(f"/v1/admin/merchants/{MERCHANT_ID}:grant", json=body, headers=headers)
    assert answer.status_code == 403
    assert answer.json()["error"]["details"][0]["reason"] == "OPERATOR_ONLY"


async def test_off_by_default(anonymous: httpx.AsyncClient) -> None:
    assert await get(anonymous, signed()) == 401


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"keys": 1}', b'{"keys": [1]}', b'{"keys": []}', b"{" * 300_000])
async def test_a_key_server_that_talks_nonsense_is_no_verdict(
    http: httpx.AsyncClient, issuer: tuple[KeyServer, str], body: bytes
) -> None:
    issuer[0].body = body
    assert await get(http, signed()) == 503
    assert await get(http, token(MERCHANT_ID)) == 200


@pytest.mark.parametrize("status", [302, 404, 500])
async def test_a_key_server_that_fails_is_no_verdict(
    http: httpx.AsyncClient, issuer: tuple[KeyServer, str], status: int
) -> None:
    issuer[0].status = status
    assert await get(http, signed()) == 503


def test_only_keys_of_the_algorithm_are_used() -> None:
    okp = json.loads(OKPAlgorithm.to_jwk(Ed25519PrivateKey.generate().public_key()))
    good = {"kid": "good", **KeyServer.public(RSA_KEY)}
    others = [
        {"kid": "enc", **KeyServer.public(RSA_KEY), "use": "enc"},
        {"kid": "512", **KeyServer.public(RSA_KEY), "alg": "RS512"},
        {"kid": "okp", **okp},
        {"kid": "oct", "kty": "oct", "k": "AAAA"},
        {**KeyServer.public(RSA_KEY)},
        {"kid": "broken", "kty": "RSA", "n": "!"},
    ]
    assert set(keys.parsed([*others, good], "RS256")) == {"good"}


@pytest.mark.parametrize(
    "changed",
    [
        {"jwks_url": "http://login.example/jwks"},
        {"jwks_url": "file:///etc/passwd"},
        {"jwks_url": "http://localhost.evil.example/jwks"},
        {"algorithm": "HS256"},
        {"algorithm": "none"},
        {"audience": ""},
        {"issuer": ""},
    ],
)
def test_settings_that_would_be_a_hole_stop_the_gateway(changed: dict[str, str]) -> None:
    good = {"issuer": NAME, "audience": AUDIENCE, "jwks_url": "https://login.example/jwks"}
    ExternalIssuer(**good)  # type: ignore[arg-type]
    with pytest.raises(ValidationError):
        ExternalIssuer(**good | changed)  # type: ignore[arg-type]
