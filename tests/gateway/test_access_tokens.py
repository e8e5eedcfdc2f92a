"""What passes for an access token, and what must not."""

import hashlib
import hmac
import time
import uuid
from base64 import urlsafe_b64encode
from typing import Any

import httpx
import jwt
import orjson
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.gateway.errors import KeysUnavailable, TokenInvalid
from services.gateway.keys import REFRESH_SECONDS_MAX, REFRESH_SECONDS_MIN, Keys, KeySet, parsed
from services.gateway.tokens import Issuer, Tokens
from tests.gateway.servicers import KEY_ID, MISSING_ID, SIGNING_KEY, Record, claims, token

NOW = int(time.time())
PUBLIC_PEM = SIGNING_KEY.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)


def signed(header: dict[str, Any], payload: dict[str, Any], key: Any = SIGNING_KEY, algorithm: str = "EdDSA") -> str:
    return jwt.encode(payload, key, algorithm=algorithm, headers={"typ": "at+jwt", "kid": KEY_ID, **header})


def base64url(value: dict[str, Any]) -> str:
    return urlsafe_b64encode(orjson.dumps(value)).decode().rstrip("=")


def hs256_with(key: bytes) -> str:
    """By hand, since PyJWT refuses to sign with what looks like a public key."""
    header = {"alg": "HS256", "typ": "at+jwt", "kid": KEY_ID}
    text = f"{base64url(header)}.{base64url(claims(MISSING_ID))}"
    signature = hmac.new(key, text.encode(), hashlib.sha256).digest()
    return f"{text}.{urlsafe_b64encode(signature).decode().rstrip('=')}"


def without(claim: str) -> dict[str, Any]:
    return {name: value for name, value in claims(MISSING_ID).items() if name != claim}


GOOD = claims(MISSING_ID)
ATTACKS = {
    "none": f"{base64url({'alg': 'none', 'typ': 'at+jwt', 'kid': KEY_ID})}.{base64url(GOOD)}.",
    "None": f"{base64url({'alg': 'None', 'typ': 'at+jwt', 'kid': KEY_ID})}.{base64url(GOOD)}.",
    "HS256 with the public key": hs256_with(SIGNING_KEY.public_key().public_bytes_raw()),
    "HS256 with the public key's PEM": hs256_with(PUBLIC_PEM),
    "HS256 with nothing": hs256_with(b""),
    "another key": signed({}, GOOD, Ed25519PrivateKey.generate()),
    "unknown kid": signed({"kid": "key-2"}, GOOD),
    "no kid": jwt.encode(GOOD, SIGNING_KEY, algorithm="EdDSA", headers={"typ": "at+jwt"}),
    "kid with a path": signed({"kid": "../../dev/null"}, GOOD),
    "key in the token": signed({"jwk": {"kty": "OKP"}, "kid": "mine"}, GOOD, Ed25519PrivateKey.generate()),
    "critical extension": signed({"crit": ["exp"]}, GOOD),
    "type JWT": signed({"typ": "JWT"}, GOOD),
    "type of the mesh": signed({"typ": "mesh+jwt"}, GOOD),
    "issuer": signed({}, {**GOOD, "iss": "other"}),
    "audience": signed({}, {**GOOD, "aud": "other"}),
    "audiences": signed({}, {**GOOD, "aud": ["astronote", "other"]}),
    "expired": signed({}, {**GOOD, "exp": NOW - 60}),
    "from the future": signed({}, {**GOOD, "iat": NOW + 600}),
    "not yet": signed({}, {**GOOD, "nbf": NOW + 600}),
    "expiry that is no number": signed({}, {**GOOD, "exp": "never"}),
    **{f"no {claim}": signed({}, without(claim)) for claim in ("exp", "iat", "iss", "aud", "sub", "mid")},
    "merchant that is no id": signed({}, {**GOOD, "mid": "me"}),
    "merchant that is a list": signed({}, {**GOOD, "mid": [MISSING_ID]}),
    "empty merchant": signed({}, {**GOOD, "mid": ""}),
    "empty user": signed({}, {**GOOD, "sub": ""}),
    "cut": token(MISSING_ID)[:-2],
    "altered": ".".join([token(MISSING_ID).split(".")[0], base64url({**GOOD, "mid": str(uuid.uuid4())}), "x" * 86]),
    "garbage": "a.b.c",
    "no dots": "garbage",
    "long": "a" * 10_000,
    "twice": f"{token(MISSING_ID)}, Bearer {token(MISSING_ID)}",
}


@pytest.mark.parametrize("attack", ATTACKS)
async def test_attacks(anonymous: httpx.AsyncClient, record: Record, attack: str) -> None:
    answer = await anonymous.get("/v1/contacts/abc", headers={"authorization": f"Bearer {ATTACKS[attack]}"})
    assert answer.status_code == 401, answer.text
    assert answer.json()["error"]["details"][0]["reason"] == "TOKEN_INVALID"
    assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert not record.requests


@pytest.mark.parametrize("header", ["", "Bearer", "Basic YTpi", token(MISSING_ID)])
async def test_no_token(anonymous: httpx.AsyncClient, header: str) -> None:
    answer = await anonymous.get("/v1/contacts/abc", headers={"authorization": header})
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert answer.json()["error"]["details"][0]["reason"] == "TOKEN_MISSING"


async def test_good_ones(anonymous: httpx.AsyncClient, record: Record) -> None:
    for scheme in ("Bearer", "bearer"):
        headers = {"authorization": f"{scheme} {token(MISSING_ID)}"}
        assert (await anonymous.get("/v1/contacts/abc", headers=headers)).status_code == 200
    assert record.callers[0].merchant_id == MISSING_ID


async def test_a_token_in_the_query_is_none(anonymous: httpx.AsyncClient) -> None:
    assert (await anonymous.get(f"/v1/contacts/abc?access_token={token(MISSING_ID)}")).status_code == 401


async def test_operators(anonymous: httpx.AsyncClient) -> None:
    path, body = f"/v1/admin/merchants/{MISSING_ID}:grant", {"amount": 1, "reason": "r", "requestId": "q"}
    merchant = await anonymous.post(path, json=body, headers={"authorization": f"Bearer {token(MISSING_ID)}"})
    assert merchant.status_code == 403
    operator = {"authorization": f"Bearer {token(MISSING_ID, role='operator')}"}
    # As far as the mesh: the wallet of these tests serves nothing.
    assert (await anonymous.post(path, json=body, headers=operator)).status_code == 501
    # And nowhere else, whatever merchant it names.
    refused = await anonymous.get("/v1/contacts/abc", headers=operator)
    assert refused.status_code == 403
    assert refused.json()["error"]["details"][0]["reason"] == "MERCHANT_ONLY"
    for role in ("admin", "Operator", "merchant", ["operator"]):
        other = {"authorization": f"Bearer {token(MISSING_ID, role=role)}"}
        assert (await anonymous.post(path, json=body, headers=other)).status_code in (401, 403)
        assert (await anonymous.get("/v1/contacts/abc", headers=other)).status_code in (401, 403)


class Accounts:
    """A key server with a clock in hand."""

    def __init__(self, *key_ids: str) -> None:
        self.key_ids, self.asked, self.now, self.is_away = list(key_ids), 0, 1000.0, False

    async def fetch(self) -> KeySet:
        self.asked += 1
        if self.is_away:
            raise KeysUnavailable
        x = urlsafe_b64encode(SIGNING_KEY.public_key().public_bytes_raw()).decode().rstrip("=")
        return parsed([{"kty": "OKP", "crv": "Ed25519", "x": x, "kid": key_id} for key_id in self.key_ids], "EdDSA")

    def keys(self) -> Keys:
        return Keys(self.fetch, lambda: self.now)


async def test_unknown_keys_are_asked_for_seldom() -> None:
    accounts = Accounts("a")
    keys = accounts.keys()
    assert await keys.get("a") is not None
    for _ in range(50):
        assert await keys.get("b") is None
    assert accounts.asked == 1
    accounts.key_ids.append("b")
    accounts.now += REFRESH_SECONDS_MIN + 1
    assert await keys.get("b") is not None
    assert accounts.asked == 2


async def test_keys_are_kept_while_accounts_is_away() -> None:
    accounts = Accounts("a")
    keys = accounts.keys()
    await keys.get("a")
    accounts.is_away = True
    accounts.now += REFRESH_SECONDS_MAX + 1
    assert await keys.get("a") is not None
    assert accounts.asked == 2
    accounts.is_away, accounts.key_ids = False, ["b"]
    accounts.now += REFRESH_SECONDS_MIN + 1
    assert await keys.get("a") is None


async def test_no_key_at_all_is_no_verdict() -> None:
    accounts = Accounts("a")
    accounts.is_away = True
    keys = accounts.keys()
    with pytest.raises(KeysUnavailable):
        await keys.get("a")
    accounts.is_away = False
    assert await keys.get("a") is not None


async def test_a_remembered_token_still_expires() -> None:
    now = [time.time()]
    tokens = Tokens([Issuer("astronote", "astronote", Accounts(KEY_ID).keys())], lambda: now[0])
    text = token(MISSING_ID)
    for _ in range(2):
        assert (await tokens.verified(text)).merchant_id == MISSING_ID
    now[0] += 700
    with pytest.raises(TokenInvalid):
        await tokens.verified(text)
