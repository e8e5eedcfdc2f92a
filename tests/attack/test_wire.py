"""Bytes that no client of repute sends: what could be read in two ways is refused, and nothing hides behind it."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.attack.conftest import Front, Merchant

pytestmark = [pytest.mark.xdist_group("attack"), pytest.mark.usefixtures("nothing_is_left")]
HIDDEN = b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Hidden: yes\r\n\r\n"
HEAD = b"POST /v1/auth:login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n"

SMUGGLED = {
    "length and chunks": CHUNKED + b"Content-Length: 6\r\n\r\n0\r\n\r\n" + HIDDEN,
    "chunks and length": HEAD + b"Content-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "two lengths": HEAD + b"Content-Length: 2\r\nContent-Length: %d\r\n\r\n{}" % (2 + len(HIDDEN)) + HIDDEN,
    "lengths in one": HEAD + b"Content-Length: 2, %d\r\n\r\n{}" % (2 + len(HIDDEN)) + HIDDEN,
    "length with a plus": HEAD + b"Content-Length: +2\r\n\r\n{}" + HIDDEN,
    "length below zero": HEAD + b"Content-Length: -1\r\n\r\n" + HIDDEN,
    "length in hex": HEAD + b"Content-Length: 0x2\r\n\r\n{}" + HIDDEN,
    "length too wide": HEAD + b"Content-Length: 18446744073709551618\r\n\r\n{}" + HIDDEN,
    "length with a space before the colon": HEAD + b"Content-Length : 2\r\n\r\n{}" + HIDDEN,
    "folded header": HEAD + b"Transfer-Encoding:\r\n chunked\r\nContent-Length: 2\r\n\r\n{}" + HIDDEN,
    "chunked with a vertical tab": HEAD + b"Transfer-Encoding: \x0bchunked\r\nContent-Length: 2\r\n\r\n{}" + HIDDEN,
    "two encodings": HEAD + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + HIDDEN,
    "encodings apart": CHUNKED + b"Transfer-Encoding: identity\r\n\r\n0\r\n\r\n" + HIDDEN,
    "chunk too wide": CHUNKED + b"\r\nfffffffffffffffff\r\n{}\r\n0\r\n\r\n" + HIDDEN,
    "chunk below zero": CHUNKED + b"\r\n-1\r\n{}\r\n0\r\n\r\n" + HIDDEN,
    "chunk in decimal with a prefix": CHUNKED + b"\r\n0x2\r\n{}\r\n0\r\n\r\n" + HIDDEN,
    "chunk longer than it says": CHUNKED + b"\r\n1\r\n{}\r\n0\r\n\r\n" + HIDDEN,
    "zero byte in a header": HEAD + b"X: a\0b\r\nContent-Length: 2\r\n\r\n{}" + HIDDEN,
    "line feed in a name": HEAD + b"X\nContent-Length: 2\r\n\r\n{}" + HIDDEN,
    "carriage return in a value": HEAD + b"X: a\rContent-Length: 2\r\n\r\n{}" + HIDDEN,
    "a space in the name": HEAD + b"Content Length: 2\r\n\r\n" + HIDDEN,
    "a header with no colon": HEAD + b"Content-Length 2\r\n\r\n" + HIDDEN,
    "old and new": b"GET /v1/me HTTP/0.9\r\n\r\n" + HIDDEN,
    "version 2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + HIDDEN,
}  # fmt: skip


@pytest.fixture(scope="module")
def answers(front: Front) -> dict[str, bytes]:
    """To all of the above, at once: where a connection stays open, only silence says that nothing more comes."""
    with ThreadPoolExecutor(len(SMUGGLED)) as pool:
        return dict(zip(SMUGGLED, pool.map(front.exchange, SMUGGLED.values()), strict=True))


@pytest.mark.parametrize("name", SMUGGLED)
def test_what_can_be_read_in_two_ways_is_refused_and_nothing_behind_it_is_answered(
    name: str, answers: dict[str, bytes]
) -> None:
    answer = answers[name]
    assert b'{"status":"alive"}' not in answer, answer
    assert answer.count(b"HTTP/1.1 ") <= 1, answer
    assert answer == b"" or 400 <= int(answer.split()[1]) < 500, answer


def test_one_after_another_is_answered_one_after_another(front: Front) -> None:
    """Otherwise the counts above would say nothing. Extensions of a chunk are allowed, and mean nothing."""
    body = CHUNKED + b"\r\n2;name=value\r\n{}\r\n0\r\n\r\n"
    answer = front.exchange(HIDDEN + body + HIDDEN)
    assert answer.count(b"HTTP/1.1 ") == 3, answer
    assert answer.count(b'{"status":"alive"}') == 2


HEADS = {
    "one long header": b"X: " + b"a" * 100_000,
    "many headers": b"".join(b"X-%d: a\r\n" % number for number in range(5_000)),
    "a long name": b"a" * 100_000 + b": a",
    "a long cookie": b"Cookie: " + b"a=b; " * 20_000,
}


@pytest.mark.parametrize("name", HEADS)
def test_a_head_has_an_end(name: str, front: Front) -> None:
    answer = front.exchange(b"GET /v1/me HTTP/1.1\r\nHost: x\r\n" + HEADS[name] + b"\r\n\r\n")
    assert answer == b"" or 400 <= int(answer.split()[1]) < 500, answer[:200]


PATHS = [
    "/v1/contacts/../me", "/v1/contacts/%2e%2e/me", "/v1/contacts/%2E%2E%2Fme", "/v1/contacts/..%2fme",
    "/v1/contacts/..%5cme", "/v1/contacts/%252e%252e%252fme", "//v1/me", "/v1//me", "/v1/me/", "/./v1/me", "/v1/./me",
    "/v1/me;a=b", "/v1/me%00", "/v1/me%0d%0aX:y", "/v1/me%20", "/v1/me%3f", "/v1/me%23", "/V1/me", "/v1/Me",
    "/v1/m%65/x",
    "/v1/contacts/%c0%ae%c0%ae/me", "/v1/contacts/%ff", "/v1/contacts/%", "/v1/contacts/%2", "/v1/contacts/%zz",
    "/v1/contacts/%u002e", "/" + "a" * 20_000, "/v1" + "/a" * 4_000, "/v1/contacts/a:b:c", "/v1/contacts/:import:",
    "/astronote.accounts.v1.MerchantsService/GetMerchant", "/grpc.health.v1.Health/Check", "/metrics", "/.git/config",
    "/v1/admin/merchants/../../me", "*", "/openapi.json/..", "/docs/../v1/me",
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path[:40])
def test_no_path_but_a_route_s_own_leads_anywhere(path: str, front: Front, merchant: Merchant) -> None:
    lines = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {merchant.token}\r\nConnection: close\r\n\r\n"
    answer = front.exchange(lines.encode("latin-1"))
    assert 400 <= int(answer.split()[1]) < 500, answer[:300]
    assert merchant.id.encode() not in answer


FORGED = [
    "x-mesh-assertion: a.b.c", "x-client-address: 10.0.0.1", "x-merchant-id: 0b5e7a52-3d0a-4e0c-9a52-8d4f6f7a1b11",
    "grpc-metadata-x-mesh-assertion: a.b.c", "grpc-timeout: 1n", "grpc-encoding: gzip", "te: trailers",
    "grpc-status-details-bin: AAAA", "x-mesh-assertion-bin: AAAA", ":authority: internal", "x-original-url: /v1/wallet",
    "x-rewrite-url: /v1/wallet", "x-forwarded-prefix: /v1/admin", "x-http-method-override: DELETE",
    "x-http-method: DELETE", "x-method-override: DELETE", "x-user-id: operator", "x-role: operator",
    "http-x-webhook-secret: a", "x-request-id: a\tb", "forwarded: for=10.0.0.1", "x-forwarded-for: 10.0.0.1",
    "connection: x-mesh-assertion, authorization", "upgrade: h2c", "upgrade: websocket", "expect: 200-ok",
]  # fmt: skip


@pytest.mark.parametrize("header", FORGED)
def test_headers_of_the_inside_mean_nothing_from_outside(header: str, front: Front, merchant: Merchant) -> None:
    """Alone it opens nothing; beside a token it changes nothing."""
    lines = f"GET /v1/me HTTP/1.1\r\nHost: x\r\n{header}\r\nConnection: close\r\n"
    assert front.exchange(f"{lines}\r\n".encode()).startswith((b"HTTP/1.1 401", b"HTTP/1.1 400"))
    lines = lines.replace("/v1/me", f"/v1/contacts/{merchant.contact_id}")
    answer = front.exchange(f"{lines}Authorization: Bearer {merchant.token}\r\n\r\n".encode())
    assert (
        answer.startswith(b"HTTP/1.1 400") or json.loads(answer.partition(b"\r\n\r\n")[2])["id"] == merchant.contact_id
    )
    assert httpx.get(f"{front.url}/v1/contacts/{merchant.contact_id}", headers=merchant.headers).status_code == 200


def test_a_webhooks_secret_counts_under_its_own_name_only(front: Front) -> None:
    secret = front.mesh.wiring.credentials.webhook_secret
    for name in ("http-x-webhook-secret", "x-webhook-secret-bin", "x_webhook_secret", "grpc-metadata-x-webhook-secret"):
        answer = httpx.post(f"{front.url}/webhooks/mitto/dlr", json=[], headers={name: secret})
        assert answer.status_code == 401, name
    for wrong in (f"{secret}, {secret}", secret[:-1], secret.swapcase(), ""):
        answer = httpx.post(f"{front.url}/webhooks/mitto/dlr", json=[], headers={"x-webhook-secret": wrong})
        assert answer.status_code == 401, wrong
    assert httpx.post(f"{front.url}/webhooks/mitto/dlr?secret={secret}", json=[]).status_code in (400, 401)


def nested(depth: int, opening: str, closing: str) -> bytes:
    return (opening * depth + closing * depth).encode()


BODIES: dict[str, bytes] = {
    "deep objects": b'{"phone":' * 10_000 + b"1" + b"}" * 10_000,
    "deep lists": b'{"tags":' + nested(10_000, "[", "]") + b"}",
    "endless lists": b"[" * 500_000,
    "huge number": b'{"phone": ' + b"9" * 500_000 + b"}",
    "huge exponent": b'{"phone": 1e999999999}',
    "NaN": b'{"phone": NaN}',
    "Infinity": b'{"phone": -Infinity}',
    "lone surrogate": b'{"phone": "\\ud800"}',
    "surrogates the wrong way": b'{"phone": "\\udc00\\ud800"}',
    "overlong UTF-8": b'{"phone": "\xc0\xaf"}',
    "zero": b'{"phone": "\\u0000"}',
    "UTF-16": '{"phone": "1"}'.encode("utf-16"),
    "byte order mark": b'\xef\xbb\xbf{"phone": "1"}',
    "ten megabytes": b'{"phone": "' + b"a" * 10_000_000 + b'"}',
    "many fields": ("{" + ",".join(f'"f{number}": 1' for number in range(50_000)) + "}").encode(),
    "many attributes": json.dumps({"phone": "1", "attributes": {f"{n}": "a" for n in range(50_000)}}).encode(),
    "many tags": json.dumps({"phone": "+306900000000", "tags": [str(n) for n in range(99_000)]}).encode(),
    "prototype": b'{"__proto__": {"admin": true}, "constructor": 1}',
    "twice under both names": b'{"firstName": "a", "first_name": "b", "phone": "+306900000000"}',
    "comment": b'{"phone": "1" /* */}',
    "trailing": b'{"phone": "1"}{"phone": "2"}',
    "null": b"null",
}


@pytest.mark.parametrize("name", BODIES)
def test_a_bomb_of_json_is_refused_at_once(name: str, front: Front, merchant: Merchant) -> None:
    headers = {**merchant.headers, "Content-Type": "application/json"}
    answer = httpx.post(f"{front.url}/v1/contacts", content=BODIES[name], headers=headers, timeout=10)
    assert 400 <= answer.status_code < 500, answer.text[:300]


def test_of_a_field_that_comes_twice_the_last_counts(front: Front, merchant: Merchant) -> None:
    """As every parser of JSON between us and the caller reads it: no two see different ones."""
    body = b'{"firstName": "first", "firstName": "last"}'
    headers = {**merchant.headers, "Content-Type": "application/json"}
    answer = httpx.patch(f"{front.url}/v1/contacts/{merchant.contact_id}", content=body, headers=headers)
    assert answer.json()["firstName"] == "last"


def test_a_compressed_body_is_not_unpacked(front: Front, merchant: Merchant) -> None:
    headers = {**merchant.headers, "Content-Type": "application/json", "Content-Encoding": "gzip"}
    answer = httpx.post(f"{front.url}/v1/contacts", content=b"\x1f\x8b" + b"\0" * 1000, headers=headers)
    assert answer.status_code in (400, 415)


def test_the_answer_to_a_bomb_is_small(front: Front, merchant: Merchant) -> None:
    """What is refused is not sent back in full: no amplifier."""
    headers = {**merchant.headers, "Content-Type": "application/json"}
    for body in (b'{"' + b"a" * 900_000 + b'": 1}', json.dumps({"gender": "x" * 900_000}).encode()):
        assert len(httpx.post(f"{front.url}/v1/contacts", content=body, headers=headers).content) < 4096
    began = time.monotonic()
    assert httpx.get(f"{front.url}/healthz").status_code == 200
    assert time.monotonic() - began < 5
