"""Unary calls over real HTTP and gRPC: what goes in, what comes out, what is refused and how."""

import json
from typing import Any

import httpx
import pytest

from astronote.contacts.v1.contacts_pb2 import Contact
from tests.gateway.answers import error, fields
from tests.gateway.servicers import MISSING_ID, Record

SECURE = {"x-content-type-options": "nosniff", "x-frame-options": "DENY", "referrer-policy": "no-referrer"}


async def test_get(http: httpx.AsyncClient, record: Record, merchant_id: str) -> None:
    answer = await http.get("/v1/contacts/abc", headers={"x-request-id": "request-7"})
    assert answer.status_code == 200
    assert answer.json() == {
        "id": "abc", "phone": "+306900000000", "email": "", "firstName": "Ελένη", "lastName": "",
        "gender": "GENDER_UNSPECIFIED", "birthday": "", "language": "", "timeZone": "", "tags": [],
        "attributes": {}, "subscription": "SUBSCRIPTION_UNSPECIFIED",
    }  # fmt: skip
    assert answer.headers["x-request-id"] == "request-7"
    assert answer.headers["cache-control"] == "no-store"
    assert SECURE.items() <= dict(answer.headers).items()
    assert record.metadata[0]["x-request-id"] == "request-7"
    (caller,) = record.callers
    assert (caller.service, caller.role, caller.merchant_id) == ("gateway", "merchant", merchant_id)
    assert caller.user_id


async def test_head(http: httpx.AsyncClient) -> None:
    answer = await http.head("/v1/contacts/abc")
    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize("given", ["", "a", "x" * 65, "with space", "a;b=c-d-e-f"])
async def test_an_odd_request_id_is_replaced(http: httpx.AsyncClient, given: str) -> None:
    answer = await http.get("/v1/contacts/abc", headers={"x-request-id": given})
    assert len(answer.headers["x-request-id"]) == 32


async def test_create(http: httpx.AsyncClient, record: Record) -> None:
    body = {"phone": "+30690", "firstName": "Ελένη", "last_name": "Π", "tags": ["a"], "gender": "FEMALE"}
    answer = await http.post("/v1/contacts", json=body)
    assert answer.json()["lastName"] == "Π"
    (request,) = record.requests
    assert request.contact.gender == Contact.FEMALE
    assert request.contact.first_name == "Ελένη"


async def test_a_service_refuses_with_the_callers_names(http: httpx.AsyncClient) -> None:
    answer = await http.post("/v1/contacts", json={"phone": "taken"})
    found = error(answer, 409, "ALREADY_EXISTS")
    info, bad = found["details"]
    assert info == {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "PHONE_TAKEN", "domain": "contacts",
        "metadata": {"field": "phone"},
    }  # fmt: skip
    assert bad["fieldViolations"][0]["field"] == "phone"
    assert found["message"] == "Another contact has this phone."


@pytest.mark.parametrize("content", [b"", b"{}", b'{"firstName": "x"}'])
async def test_a_required_field_is_named(http: httpx.AsyncClient, content: bytes) -> None:
    answer = await http.post("/v1/contacts", content=content, headers={"content-type": "application/json"})
    error(answer, 400, "INVALID_ARGUMENT")
    assert fields(answer) == ["phone"]


async def test_not_found_and_bugs(http: httpx.AsyncClient) -> None:
    found = error(await http.get(f"/v1/contacts/{MISSING_ID}"), 404, "NOT_FOUND")
    assert found["details"][0]["reason"] == "CONTACT_NOT_FOUND"
    answer = await http.get("/v1/contacts/bug")
    assert error(answer, 500, "INTERNAL") == {
        "code": 500, "status": "INTERNAL", "message": "Internal error.", "details": [],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"phone": "1", "foo": 1}', "foo"),
        (b'{"phone": 1}', "phone"),
        (b'{"phone": "1", "tags": ["a", 2]}', "tags[1]"),
        (b'{"phone": "1", "attributes": {"city": 1}}', "attributes.city"),
        (b'{"phone": "1", "gender": "X"}', "gender"),
        (b'{"phone": "1", "gender": 2}', "gender"),
        (b'{"phone": "1", "firstName": "a\\u0000"}', "firstName"),
    ],
)
async def test_wrong_fields_are_named(http: httpx.AsyncClient, record: Record, body: bytes, field: str) -> None:
    answer = await http.post("/v1/contacts", content=body, headers={"content-type": "application/json"})
    found = error(answer, 400, "INVALID_ARGUMENT")
    assert found["details"][0]["domain"] == "gateway"
    assert found["details"][0]["metadata"]["field"] == field
    assert not record.requests


@pytest.mark.parametrize("body", [b"{", b"\xff\xfe", b"[]", b'"x"', b"null", b"{}x", b'{"phone": NaN}'])
async def test_malformed_bodies(http: httpx.AsyncClient, record: Record, body: bytes) -> None:
    answer = await http.post("/v1/contacts", content=body, headers={"content-type": "application/json"})
    error(answer, 400, "INVALID_ARGUMENT")
    assert not record.requests


@pytest.mark.parametrize(
    ("content_type", "code"),
    [
        ("application/json", 200),
        ("application/json; charset=utf-8", 200),
        ("Application/JSON;charset=UTF-8", 200),
        ("application/merge-patch+json", 200),
        ("", 415),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("application/json; charset=utf-16", 415),
        ("application/json, text/plain", 415),
    ],
)
async def test_content_types(http: httpx.AsyncClient, content_type: str, code: int) -> None:
    answer = await http.post("/v1/contacts", content=b'{"phone": "1"}', headers={"content-type": content_type})
    assert answer.status_code == code


async def test_two_megabytes(http: httpx.AsyncClient, record: Record) -> None:
    body = json.dumps({"phone": "1", "firstName": "x" * 2_000_000}).encode()
    headers = {"content-type": "application/json"}
    found = error(await http.post("/v1/contacts", content=body, headers=headers), 413, "INVALID_ARGUMENT")
    assert found["details"][0]["reason"] == "BODY_TOO_LARGE"

    async def chunked() -> Any:
        for start in range(0, len(body), 65536):
            yield body[start : start + 65536]

    error(await http.post("/v1/contacts", content=chunked(), headers=headers), 413, "INVALID_ARGUMENT")
    assert not record.requests
    assert (await http.get("/v1/contacts/abc")).status_code == 200


async def test_query(http: httpx.AsyncClient, record: Record) -> None:
    await http.get("/v1/contacts?pageSize=7&page_token=t&q=%CE%95%20x&subscription=SUBSCRIBED&tag=")
    (request,) = record.requests
    assert (request.page_size, request.page_token, request.q) == (7, "t", "Ε x")
    assert request.subscription == Contact.SUBSCRIBED


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("foo=1", "foo"),
        ("pageSize=x", "pageSize"),
        ("pageSize=", "pageSize"),
        ("page_size=99999999999", "pageSize"),
        ("pageSize=1&pageSize=2", "pageSize"),
        ("pageSize=1&page_size=2", "pageSize"),
        ("subscription=NO", "subscription"),
        ("subscription=1", "subscription"),
        ("q=%00", "q"),
        ("q.x=1", "q.x"),
    ],
)
async def test_wrong_parameters_are_named(http: httpx.AsyncClient, record: Record, query: str, field: str) -> None:
    answer = await http.get(f"/v1/contacts?{query}")
    error(answer, 400, "INVALID_ARGUMENT")
    assert fields(answer) == [field]
    assert not record.requests


@pytest.mark.parametrize("query", ["q=%ff", "&".join(["q=1"] * 2000)])
async def test_malformed_queries(http: httpx.AsyncClient, query: str) -> None:
    error(await http.get(f"/v1/contacts?{query}"), 400, "INVALID_ARGUMENT")


@pytest.mark.parametrize("query", ["contact.phone=1", "phone=1", "contact=1"])
async def test_what_the_body_holds_is_no_parameter(http: httpx.AsyncClient, query: str) -> None:
    error(await http.post(f"/v1/contacts?{query}", json={"phone": "1"}), 400, "INVALID_ARGUMENT")


async def test_patch_fills_its_mask(http: httpx.AsyncClient, record: Record) -> None:
    body = {"firstName": "a", "last_name": "", "attributes": {"a": "b"}, "email": None, "createTime": None, "id": "no"}
    answer = await http.patch("/v1/contacts/abc", json=body)
    assert answer.status_code == 200, answer.text
    (request,) = record.requests
    assert request.contact.id == "abc"
    assert list(request.update_mask.paths) == ["email", "first_name", "last_name", "attributes"]


@pytest.mark.parametrize("name", ["updateMask", "update_mask"])
async def test_a_given_mask_stands(http: httpx.AsyncClient, record: Record, name: str) -> None:
    await http.patch(f"/v1/contacts/abc?{name}=firstName,last_name", json={"firstName": "a"})
    assert list(record.requests[0].update_mask.paths) == ["first_name", "last_name"]


async def test_delete_answers_an_empty_object(http: httpx.AsyncClient, record: Record) -> None:
    answer = await http.delete("/v1/contacts/abc")
    assert (answer.status_code, answer.json()) == (200, {})


async def test_idempotency_key(http: httpx.AsyncClient, record: Record) -> None:
    path = "/v1/campaigns/c/:send".replace("/:", ":")
    await http.post(path, headers={"idempotency-key": "k" * 200})
    await http.post(path, headers={"idempotency-key": "key"}, json={"requestId": "key"})
    await http.post(path, json={"requestId": "own"})
    assert [request.request_id for request in record.requests] == ["k" * 200, "key", "own"]
    assert {request.id for request in record.requests} == {"c"}
    for key, body in (("k" * 201, {}), ("", {}), ("a b", {}), ("key", {"requestId": "other"})):
        error(await http.post(path, headers={"idempotency-key": key}, json=body), 400, "INVALID_ARGUMENT")
    assert len(record.requests) == 3


async def test_cookies(anonymous: httpx.AsyncClient, record: Record) -> None:
    answer = await anonymous.post(
        "/v1/auth:register", json={"email": "a@b.gr", "password": "long enough", "company": "c"}
    )
    assert answer.json()["refreshToken"] == "fresh"
    assert answer.headers["set-cookie"] == (
        "rt=fresh; Max-Age=2592000; Path=/; HttpOnly; Secure; SameSite=Strict"
    )  # fmt: skip
    await anonymous.post("/v1/auth:refresh", headers={"cookie": "a=b; rt=kept"})
    await anonymous.post("/v1/auth:refresh", headers={"cookie": "rt=kept"}, json={"refreshToken": "given"})
    assert [request.refresh_token for request in record.requests[1:]] == ["kept", "given"]
    answer = await anonymous.post("/v1/auth:refresh")
    error(answer, 400, "INVALID_ARGUMENT")
    assert fields(answer) == ["refreshToken"]
    answer = await anonymous.post("/v1/auth:logout", headers={"cookie": "rt=kept"})
    assert answer.headers["set-cookie"] == "rt=; Max-Age=0; Path=/; HttpOnly; Secure; SameSite=Strict"


async def test_a_service_may_answer_401(anonymous: httpx.AsyncClient) -> None:
    answer = await anonymous.post("/v1/auth:login", json={"email": "a@b.gr", "password": "wrong"})
    assert error(answer, 401, "UNAUTHENTICATED")["details"][0]["reason"] == "CREDENTIALS_WRONG"
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_pages_and_forms(anonymous: httpx.AsyncClient, record: Record) -> None:
    answer = await anonymous.get("/u/abcdefghijk")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.text == "<p>Αντίο;</p>"
    assert "script-src" not in answer.headers["content-security-policy"]
    answer = await anonymous.post("/u/abcdefghijk", data={"List-Unsubscribe": "One-Click"})
    assert answer.content == b"List-Unsubscribe=One-Click"
    assert record.requests[1].form.content_type == "application/x-www-form-urlencoded"
    assert [caller.role for caller in record.callers] == ["public", "public"]


async def test_a_link_leads_on_and_says_what_for(anonymous: httpx.AsyncClient, record: Record) -> None:
    browser = {"accept": "text/html", "user-agent": "Mozilla/5.0"}
    for verb, headers in (("GET", {}), ("HEAD", {}), ("GET", {"sec-purpose": "prefetch;prerender"})):
        answer = await anonymous.request(verb, "/l/abcdefghijk2?fbclid=x", headers=browser | headers)
        assert (answer.status_code, answer.content) == (302, b"")
        assert answer.headers["location"] == "https://shop.gr/%CE%BD?a=1"
        assert answer.headers["cache-control"] == "no-store"
    assert {found["x-client-agent"] for found in record.metadata} == {"Mozilla/5.0"}
    assert [found.get("x-client-purpose", "") for found in record.metadata] == ["", "head", "prefetch;prerender"]
    lost = await anonymous.get(f"/l/{MISSING_ID}", headers=browser)
    assert (lost.status_code, lost.headers["content-type"]) == (404, "text/html; charset=utf-8")


async def test_webhooks(anonymous: httpx.AsyncClient, record: Record) -> None:
    raw = b'{ "not" :"touched" }\xff'
    headers = {"x-webhook-secret": "s", "x-webhook-signature": "t=1,v1=a", "content-type": "application/json"}
    answer = await anonymous.post("/webhooks/mitto/dlr", content=raw, headers={**headers, "x-mesh-assertion": "forged"})
    assert (answer.status_code, answer.json()) == (202, {"received": 1})
    assert record.requests[0].body.data == raw
    assert record.requests[0].body.content_type == "application/json"
    assert record.callers[0].role == "webhook"
    found = record.metadata[0]
    assert found["http-x-webhook-secret"] == "s"
    assert found["http-x-webhook-signature"] == "t=1,v1=a"
    assert found["http-content-type"] == "application/json"
    assert "http-stripe-signature" not in found
    await anonymous.post("/webhooks/mitto/dlr", content=raw, headers={"x-webhook-secret": b"\xff\xfe"})
    assert "http-x-webhook-secret" not in record.metadata[1]
