"""Assertions and access: who may call what, and what a forged token is worth."""

import base64
import json

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from deploy.local.credentials import KeyPair
from kit import access
from kit.access import AccessDenied, Rule
from kit.caller import Caller
from kit.identity import LIFE_SECONDS, AssertionInvalid, Identity

KEYS = {name: KeyPair.generate() for name in ("gateway", "contacts", "wallet")}
PUBLIC = {name: pair.public for name, pair in KEYS.items()}
MERCHANT = "0b5e7a52-3d0a-4e0c-9a52-8d4f6f7a1b11"


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def identity(service: str, clock: Clock | None = None) -> Identity:
    return Identity(service, KEYS[service].private, PUBLIC, clock or Clock())


def test_an_assertion_says_who_calls_for_whom() -> None:
    token = identity("gateway").assertion("contacts", "merchant", MERCHANT, "user")
    assert identity("contacts").verify(token) == Caller("gateway", "merchant", MERCHANT, "user")
    token = identity("gateway").assertion("contacts", "merchant", MERCHANT, api_key_id="key")
    assert identity("contacts").verify(token) == Caller("gateway", "merchant", MERCHANT, "", "key")


def test_an_assertion_is_for_one_service_and_a_minute() -> None:
    clock = Clock()
    token = identity("gateway", clock).assertion("contacts", "merchant", MERCHANT)
    with pytest.raises(AssertionInvalid):
        identity("wallet", clock).verify(token)
    contacts = identity("contacts", clock)
    contacts.verify(token)
    clock.now += LIFE_SECONDS + 1
    with pytest.raises(AssertionInvalid):
        contacts.verify(token)


def test_assertions_are_reused_and_renewed() -> None:
    clock = Clock()
    gateway = identity("gateway", clock)
    first = gateway.assertion("contacts")
    assert gateway.assertion("contacts") == first
    assert gateway.assertion("wallet") != first
    clock.now += LIFE_SECONDS
    assert gateway.assertion("contacts") != first


def forged() -> dict[str, str]:
    """Tokens that look right and are not."""
    now = int(Clock.now)
    claims = {"iss": "gateway", "aud": "contacts", "iat": now, "exp": now + 60, "role": "merchant", "sub": MERCHANT}
    claims |= {"uid": ""}
    stranger = Ed25519PrivateKey.generate()
    own = Ed25519PrivateKey.from_private_bytes(base64.urlsafe_b64decode(KEYS["wallet"].private + "="))
    good = identity("gateway").assertion("contacts", "merchant", MERCHANT)
    head, body, signature = good.split(".")
    altered = json.loads(base64.urlsafe_b64decode(body + "==")) | {"sub": "another"}
    raw = base64.urlsafe_b64encode(json.dumps(altered).encode()).decode().rstrip("=")
    typ = {"typ": "mesh+jwt"}
    return {
        "nothing": "",
        "no token": "a.b.c",
        "not even dots": "abc",
        "no claims": "e30.W10.e30",
        "alg none": jwt.encode(claims, None, algorithm="none", headers=typ),
        "a secret that everybody knows": jwt.encode(claims, PUBLIC["gateway"], algorithm="HS256", headers=typ),
        "a stranger's key": jwt.encode(claims, stranger, algorithm="EdDSA", headers=typ),
        "another service's key": jwt.encode(claims, own, algorithm="EdDSA", headers=typ),
        "an unknown service": jwt.encode(claims | {"iss": "nobody"}, own, algorithm="EdDSA", headers=typ),
        "another type": jwt.encode(claims | {"iss": "wallet"}, own, algorithm="EdDSA", headers={"typ": "at+jwt"}),
        "for two services": jwt.encode(
            claims | {"iss": "wallet", "aud": ["contacts", "wallet"]}, own, algorithm="EdDSA", headers=typ
        ),
        "altered": f"{head}.{raw}.{signature}",
        "from the future": jwt.encode(
            claims | {"iss": "wallet", "iat": now + 60, "exp": now + 120}, own, algorithm="EdDSA", headers=typ
        ),
    }


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
@pytest.mark.parametrize("kind", list(forged()))
def test_what_is_forged_proves_nothing(kind: str) -> None:
    with pytest.raises(AssertionInvalid):
        identity("contacts").verify(forged()[kind])


GATEWAY, WALLET = "gateway", "wallet"


@pytest.mark.parametrize(
    ("rule", "caller", "is_allowed"),
    [
        (Rule("merchant"), Caller(GATEWAY, "merchant", MERCHANT), True),
        (Rule("merchant"), Caller(GATEWAY, "merchant", ""), False),
        (Rule("merchant"), Caller(GATEWAY, "merchant", MERCHANT.upper()), False),
        (Rule("merchant"), Caller(GATEWAY, "public"), False),
        (Rule("merchant"), Caller(WALLET, "service", MERCHANT), False),
        (Rule("merchant", frozenset({WALLET})), Caller(WALLET, "service", MERCHANT), True),
        (Rule("merchant", frozenset({WALLET})), Caller(WALLET, "service", ""), False),
        (Rule("merchant", frozenset({WALLET})), Caller(WALLET, "merchant", MERCHANT), False),
        (Rule("public"), Caller(GATEWAY, "public"), True),
        (Rule("public"), Caller(GATEWAY, "merchant", MERCHANT), True),
        (Rule("public"), Caller(WALLET, "service"), False),
        (Rule("operator"), Caller(GATEWAY, "operator"), True),
        (Rule("operator"), Caller(GATEWAY, "merchant", MERCHANT), False),
        (Rule("webhook"), Caller(GATEWAY, "webhook"), True),
        (Rule("webhook"), Caller(GATEWAY, "public"), False),
        (Rule("", frozenset({WALLET})), Caller(WALLET, "service", MERCHANT), True),
        (Rule("", frozenset({WALLET})), Caller(GATEWAY, "merchant", MERCHANT), False),
        (Rule("", frozenset({WALLET})), Caller(GATEWAY, "", MERCHANT), False),
        (Rule("", frozenset({GATEWAY})), Caller(GATEWAY, "service", MERCHANT), True),
        (Rule("", frozenset({GATEWAY})), Caller(GATEWAY, "service", ""), False),
        (Rule("", frozenset({GATEWAY})), Caller(GATEWAY, "public", MERCHANT), False),
        (Rule("", frozenset({GATEWAY}), no_merchant=True), Caller(GATEWAY, "service"), True),
        (Rule("", frozenset({GATEWAY}), no_merchant=True), Caller(GATEWAY, "service", MERCHANT), False),
        (Rule("", frozenset({GATEWAY}), no_merchant=True), Caller(GATEWAY, "public"), False),
        (Rule("", frozenset({GATEWAY}), no_merchant=True), Caller(GATEWAY, "merchant", MERCHANT), False),
        (Rule("", frozenset({GATEWAY}), no_merchant=True), Caller(WALLET, "service"), False),
        (Rule("", frozenset(), no_merchant=True), Caller(WALLET, "service"), False),
        (Rule("public"), Caller(GATEWAY, "service"), False),
        (Rule("merchant"), Caller(GATEWAY, "service", MERCHANT), False),
        (Rule(), Caller(GATEWAY, "", MERCHANT), False),
        (Rule(), Caller(WALLET, "service", MERCHANT), False),
    ],
)
def test_access_is_denied_unless_the_contract_allows_it(rule: Rule, caller: Caller, is_allowed: bool) -> None:
    if is_allowed:
        access.check(rule, caller)
    else:
        with pytest.raises(AccessDenied):
            access.check(rule, caller)
