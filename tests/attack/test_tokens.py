"""No access token but a true one opens any route of a merchant's or an operator's, over HTTP."""

import hashlib
import hmac
import json
import time
import uuid
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.attack.conftest import Front, Merchant
from tests.attack.routes import MERCHANTS, OPERATORS, Target

pytestmark = [pytest.mark.xdist_group("attack"), pytest.mark.usefixtures("nothing_is_left")]


def base64url(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def by_hand(header: dict[str, Any], claims: dict[str, Any], secret: bytes | None) -> str:
    """With HMAC, or with no signature; PyJWT would refuse to."""
    text = ".".join(base64url(json.dumps(part).encode()) for part in (header, claims))
    signature = hmac.new(secret, text.encode(), hashlib.sha256).digest() if secret is not None else b""
    return f"{text}.{base64url(signature)}"


def forged(kid: str, key: Ed25519PrivateKey, merchant: Merchant) -> Iterator[tuple[str, str]]:
    """The `Authorization` headers of a thief who has even the signing key, and knows whom he wants to be."""
    now = int(time.time())
    claims = {"iss": "astronote", "aud": "astronote", "iat": now, "exp": now + 600, "sub": str(uuid.uuid4())}
    claims |= {"mid": merchant.id}
    head = {"typ": "at+jwt", "kid": kid}
    public = key.public_key().public_bytes_raw()

    def signed(changed: dict[str, Any], header: dict[str, Any] | None = None, by: Any = key) -> str:
        return "Bearer " + jwt.encode({**claims, **changed}, by, algorithm="EdDSA", headers={**head, **(header or {})})

    for name in ("none", "None", "NONE", "nOnE"):
        yield f"alg {name}", "Bearer " + by_hand({**head, "alg": name}, claims, None)
    yield "HS256 with the public key", "Bearer " + by_hand({**head, "alg": "HS256"}, claims, public)
    yield "HS256 with its text", "Bearer " + by_hand({**head, "alg": "HS256"}, claims, base64url(public).encode())
    yield "another key", signed({}, by=Ed25519PrivateKey.generate())
    yield "issuer", signed({"iss": "accounts"})
    yield "audience", signed({"aud": "another"})
    yield "audiences", signed({"aud": ["astronote", "another"]})
    yield "type", signed({}, {"typ": "JWT"})
    yield "type of the mesh", signed({}, {"typ": "mesh+jwt"})
    yield "kid", signed({}, {"kid": "another"})
    yield "kid with a path", signed({}, {"kid": "../../../dev/null"})
    yield "kid that is SQL", signed({}, {"kid": "' OR '1'='1"})
    yield "crit", signed({}, {"crit": ["exp"]})
    yield "expired", signed({"iat": now - 2000, "exp": now - 60})
    yield "not yet", signed({"nbf": now + 600})
    yield "issued in the future", signed({"iat": now + 600, "exp": now + 1200})
    yield "no merchant", signed({"mid": ""})
    yield "two merchants", signed({"mid": [merchant.id, str(uuid.uuid4())]})
    head_text, body, signature = merchant.token.split(".")
    other = json.loads(urlsafe_b64decode(body + "==")) | {"mid": str(uuid.uuid4())}
    yield "altered", f"Bearer {head_text}.{base64url(json.dumps(other).encode())}.{signature}"
    yield "cut", f"Bearer {merchant.token[:-3]}"
    yield "twice", f"Bearer {merchant.token}, Bearer {merchant.token}"
    yield "huge", "Bearer " + "a" * 7000
    yield "API key that is none", "Bearer ar_live_" + "a" * 43
    yield "no scheme", merchant.token
    yield "another scheme", f"Basic {merchant.token}"
    yield "nothing", ""


def ask(http: httpx.Client, target: Target, headers: dict[str, str]) -> httpx.Response:
    content = None if target.verb in ("GET", "DELETE") else b"{}"
    return http.request(
        target.verb, target.path, content=content, headers={**headers, "Content-Type": "application/json"}
    )


@pytest.mark.parametrize("target", [*MERCHANTS, *OPERATORS], ids=lambda target: f"{target.verb} {target.path}")
def test_no_forged_token_opens_a_route(
    target: Target, front: Front, merchant: Merchant, signing_key: tuple[str, Ed25519PrivateKey]
) -> None:
    with httpx.Client(base_url=front.url, timeout=30) as http:
        for attack, header in forged(*signing_key, merchant):
            answer = ask(http, target, {"Authorization": header})
            assert answer.status_code == 401, (attack, answer.text)
            assert answer.json()["error"]["details"][0]["reason"] in ("TOKEN_INVALID", "TOKEN_MISSING"), attack
            assert answer.headers["www-authenticate"].startswith("Bearer"), attack
        if target in OPERATORS:
            assert ask(http, target, merchant.headers).status_code == 403


def test_two_headers_prove_nothing_and_a_true_token_does(front: Front, merchant: Merchant) -> None:
    """Otherwise the refusals above would say nothing."""
    good, bad = f"Authorization: Bearer {merchant.token}\r\n", "Authorization: Bearer a.b.c\r\n"
    for lines in (good + bad, bad + good, good + good):
        text = f"GET /v1/me HTTP/1.1\r\nHost: x\r\n{lines}Connection: close\r\n\r\n"
        assert front.exchange(text.encode()).startswith((b"HTTP/1.1 400", b"HTTP/1.1 401")), lines
    for header in (good, good.lower().replace(merchant.token.lower(), merchant.token)):
        text = f"GET /v1/me HTTP/1.1\r\nHost: x\r\n{header}Connection: close\r\n\r\n"
        assert front.exchange(text.encode()).startswith(b"HTTP/1.1 200"), header
    with httpx.Client(base_url=front.url) as http:
        assert http.get("/v1/me", headers={"Authorization": f"Bearer {merchant.api_key}"}).status_code == 200
        assert http.get(f"/v1/me?access_token={merchant.token}").status_code == 401
        assert http.get("/v1/me", headers={"Cookie": f"Authorization=Bearer {merchant.token}"}).status_code == 401


def test_an_operators_token_with_a_merchant_in_it_opens_nothing_of_a_merchants(
    front: Front, merchant: Merchant, signing_key: tuple[str, Ed25519PrivateKey]
) -> None:
    kid, key = signing_key
    now = int(time.time())
    claims = {"iss": "astronote", "aud": "astronote", "iat": now, "exp": now + 600, "sub": "operator"}
    claims |= {"role": "operator", "mid": merchant.id}
    token = jwt.encode(claims, key, algorithm="EdDSA", headers={"typ": "at+jwt", "kid": kid})
    with httpx.Client(base_url=front.url, timeout=30) as http:
        for target in MERCHANTS:
            assert ask(http, target, {"Authorization": f"Bearer {token}"}).status_code == 403, target
