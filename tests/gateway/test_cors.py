"""Which web apps may read an answer, and who may spend a cookie."""

from collections.abc import AsyncIterator

import httpx
import pytest
from pydantic import ValidationError

from services.gateway.serving import Serving
from tests.gateway.servicers import Record, settings, token

APP = "https://app.example.com"
PREFLIGHT = {"origin": APP, "access-control-request-method": "PATCH"}


@pytest.fixture
async def http(service_ports: dict[str, int], record: Record, merchant_id: str) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        Serving(settings(service_ports, cors_origins=[APP, "http://localhost:5173"])) as serving,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{serving.port}", trust_env=False) as client,
    ):
        client.headers["authorization"] = f"Bearer {token(merchant_id)}"
        yield client


def said(answer: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name.startswith("access-control-")}


@pytest.mark.parametrize("path", ["/v1/contacts/a", "/v1/nothing", "/healthz", "/openapi.json"])
async def test_a_listed_origin_reads_answers_and_refusals(http: httpx.AsyncClient, path: str) -> None:
    answer = await http.get(path, headers={"origin": APP})
    assert said(answer) == {
        "access-control-allow-origin": APP,
        "access-control-allow-credentials": "true",
        "access-control-expose-headers": "Content-Disposition, ETag, Retry-After, X-Request-Id",
    }
    assert "Origin" in answer.headers["vary"]


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example.com", "https://app.example.com.evil.com", "https://app.example.com:444", "null", "*", "",
     "http://app.example.com", "https://APP.example.com", f"{APP}, https://evil.com"],
)  # fmt: skip
async def test_nobody_else_does(http: httpx.AsyncClient, origin: str) -> None:
    for answer in (
        await http.get("/v1/contacts/a", headers={"origin": origin}),
        await http.options("/v1/contacts/a", headers={**PREFLIGHT, "origin": origin}),
    ):
        assert said(answer) == {}
        assert answer.headers["vary"] == "Origin"


async def test_a_preflight_is_answered_by_the_route_table(http: httpx.AsyncClient, record: Record) -> None:
    del http.headers["authorization"]
    answer = await http.options("/v1/contacts/a", headers=PREFLIGHT)
    assert (answer.status_code, answer.content) == (204, b"")
    assert said(answer) == {
        "access-control-allow-origin": APP,
        "access-control-allow-credentials": "true",
        "access-control-allow-methods": "DELETE, GET, HEAD, OPTIONS, PATCH",
        "access-control-allow-headers": "Authorization, Content-Type, Idempotency-Key, If-None-Match, X-Request-Id",
        "access-control-expose-headers": "Content-Disposition, ETag, Retry-After, X-Request-Id",
        "access-control-max-age": "600",
    }
    assert "content-length" not in answer.headers
    assert (await http.options("/v1/nothing", headers=PREFLIGHT)).status_code == 404
    assert not record.requests


async def test_options_without_an_origin_says_what_may_be_done(http: httpx.AsyncClient) -> None:
    answer = await http.options("/v1/campaigns/c:send")
    assert (answer.status_code, answer.headers["allow"], said(answer)) == (204, "OPTIONS, POST", {})
    assert (await http.options("/readyz")).headers["allow"] == "GET, HEAD, OPTIONS"
    refused = await http.post("/healthz")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD, OPTIONS")


async def test_by_default_nobody_may(anonymous: httpx.AsyncClient) -> None:
    answer = await anonymous.get("/healthz", headers={"origin": APP})
    assert said(answer) == {}
    assert "vary" not in answer.headers


@pytest.mark.parametrize(
    ("origin", "counts"),
    [(None, True), (APP, True), ("https://evil.example.com", False), ("null", False), ("own", True)],
)
async def test_whose_page_spends_the_cookie(
    http: httpx.AsyncClient, record: Record, origin: str | None, counts: bool
) -> None:
    own = f"http://127.0.0.1:{http.base_url.port}"
    headers = {"cookie": "rt=kept"} | ({"origin": own if origin == "own" else origin} if origin else {})
    answer = await http.post("/v1/auth:refresh", headers=headers)
    assert answer.status_code == (200 if counts else 400)
    # The token itself, out of the body, is another matter: whoever has it needs no cookie.
    answer = await http.post("/v1/auth:refresh", headers=headers, json={"refreshToken": "given"})
    assert answer.status_code == 200


@pytest.mark.parametrize("origin", ["*", "null", "https://*.example.com", "https://a.example.com/", "a.example.com",
                                    "http://a.example.com", "https://a.example.com/path", ""])  # fmt: skip
def test_what_is_no_exact_origin_stops_the_start(origin: str) -> None:
    with pytest.raises(ValidationError):
        settings({}, cors_origins=[origin])
