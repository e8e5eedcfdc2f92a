"""Through the gateway, with real accounts and a real wallet behind it."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from services.accounts import operators
from services.gateway.api_keys import ApiKeys
from services.gateway.serving import Serving
from services.gateway.settings import Settings
from tests.accounts.client import PASSWORD
from tests.conftest import KEYS, PUBLIC_KEYS, TestMesh


@pytest.fixture(scope="module")
async def serving(mesh: TestMesh) -> AsyncIterator[Serving]:
    addresses = {}
    for name in ("accounts", "wallet"):
        await mesh.service(name)
        addresses[f"{name}_address"] = mesh.app(name).settings.address
    settings = Settings(
        host="127.0.0.1",
        port=0,
        mesh_private_key=KEYS["gateway"].private,
        mesh_public_keys=PUBLIC_KEYS,
        **addresses,
    )
    async with Serving(settings) as serving:
        yield serving


class Browser:
    def __init__(self, serving: Serving) -> None:
        self.http = httpx.AsyncClient(base_url=f"http://127.0.0.1:{serving.port}", trust_env=False, timeout=20)
        self.email = f"{uuid.uuid4()}@shop.example"

    async def call(self, verb: str, path: str, token: str = "", **body: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        return await self.http.request(verb, path, headers=headers, json=body if verb in ("POST", "PATCH") else None)

    async def register(self) -> str:
        fields = {"email": self.email, "password": PASSWORD, "company": "Καφέ"}
        answer = (await self.call("POST", "/v1/auth:register", **fields)).json()
        self.merchant_id = answer["merchant"]["id"]
        return str(answer["accessToken"])


@pytest.fixture
async def browser(serving: Serving) -> AsyncIterator[Browser]:
    browser = Browser(serving)
    yield browser
    await browser.http.aclose()


def reason(answer: httpx.Response) -> str:
    return str(answer.json()["error"]["details"][0]["reason"])


async def test_an_operator_grants_credits_and_does_nothing_else(browser: Browser, mesh: TestMesh):
    merchant = await browser.register()
    email = f"{uuid.uuid4()}@us.example"
    password = await operators.add(mesh.app("accounts").database, f" {email.upper()} ")
    answer = await browser.call("POST", "/v1/auth:loginOperator", email=email, password=password)
    assert answer.status_code == 200
    assert answer.json().keys() == {"accessToken", "expiresIn"}
    assert "set-cookie" not in answer.headers
    operator = answer.json()["accessToken"]

    path, grant = f"/v1/admin/merchants/{browser.merchant_id}:grant", {"amount": 70, "reason": "sorry"}
    before = (await browser.call("GET", "/v1/wallet", merchant)).json()["available"]
    assert reason(await browser.call("POST", path, merchant, **grant, requestId="1")) == "OPERATOR_ONLY"
    assert reason(await browser.call("POST", path, **grant, requestId="1")) == "TOKEN_MISSING"
    for _ in range(2):
        granted = await browser.call("POST", path, operator, **grant, requestId="1")
        assert (granted.status_code, granted.json()["available"]) == (200, before + 70)
    assert (await browser.call("GET", "/v1/wallet", merchant)).json()["available"] == before + 70
    for verb, other in (("GET", "/v1/me"), ("GET", "/v1/wallet"), ("GET", "/v1/apiKeys"), ("POST", "/v1/apiKeys")):
        assert reason(await browser.call(verb, other, operator)) == "MERCHANT_ONLY"


async def test_who_is_no_operator_does_not_become_one(browser: Browser, mesh: TestMesh):
    database = mesh.app("accounts").database
    merchant = await browser.register()
    login = {"email": browser.email, "password": PASSWORD}
    assert reason(await browser.call("POST", "/v1/auth:loginOperator", **login)) == "CREDENTIALS_WRONG"
    # An operator's email may be registered by anybody: that makes a merchant and nothing more.
    password = await operators.add(database, browser.email)
    assert reason(await browser.call("POST", "/v1/auth:loginOperator", **login)) == "CREDENTIALS_WRONG"
    assert reason(await browser.call("POST", "/v1/auth:login", **login | {"password": password})) == "CREDENTIALS_WRONG"
    path = f"/v1/admin/merchants/{browser.merchant_id}:grant"
    body = {"amount": 1, "reason": "r", "requestId": "1"}
    assert reason(await browser.call("POST", path, merchant, **body)) == "OPERATOR_ONLY"
    # A new password takes the place of the old one, and a removed operator has none.
    login["password"] = await operators.add(database, browser.email)
    assert (await browser.call("POST", "/v1/auth:loginOperator", **login)).status_code == 200
    login["password"] = password
    assert reason(await browser.call("POST", "/v1/auth:loginOperator", **login)) == "CREDENTIALS_WRONG"
    assert await operators.remove(database, browser.email)
    assert not await operators.remove(database, browser.email)
    assert reason(await browser.call("POST", "/v1/auth:loginOperator", **login)) == "CREDENTIALS_WRONG"


async def test_an_api_key_does_what_its_scopes_say(browser: Browser):
    token = await browser.register()
    keys = {}
    for name, scopes in (("read", ["READ"]), ("write", ["WRITE"]), ("both", [])):
        made = await browser.call("POST", "/v1/apiKeys", token, name=name, scopes=scopes)
        assert made.status_code == 200
        keys[name] = made.json()["key"]
    look, change = ("GET", "/v1/me"), ("PATCH", "/v1/me")
    for name, looks, changes in (("read", 200, 403), ("write", 403, 200), ("both", 200, 200)):
        assert (await browser.call(*look, keys[name])).status_code == looks, name
        assert (await browser.call(*change, keys[name], company=f"by {name}")).status_code == changes, name
    assert reason(await browser.call(*change, keys["read"], company="x")) == "SCOPE_MISSING"
    assert (await browser.call(*look, token)).json()["id"] == browser.merchant_id
    # What only a person may do.
    for call in (("GET", "/v1/apiKeys"), ("POST", "/v1/apiKeys"), ("POST", "/v1/me:changePassword")):
        body = {"name": "x"} if "Keys" in call[1] else {"currentPassword": PASSWORD, "newPassword": "x" * 10}
        body = body if call[0] == "POST" else {}
        assert reason(await browser.call(*call, keys["both"], **body)) == "LOGIN_NEEDED"
    grant = await browser.call(
        "POST", f"/v1/admin/merchants/{browser.merchant_id}:grant", keys["both"], amount=1, reason="r", requestId="1"
    )
    assert reason(grant) == "OPERATOR_ONLY"
    shown = (await browser.call("GET", "/v1/apiKeys", token)).json()["apiKeys"]
    assert {key["name"] for key in shown if key.get("lastUseTime")} == {"read", "write", "both"}
    assert not any(key["key"] for key in shown)


async def test_a_revoked_key_is_refused_when_what_is_remembered_is_old(browser: Browser, serving: Serving):
    token = await browser.register()
    made = (await browser.call("POST", "/v1/apiKeys", token, name="till")).json()
    assert (await browser.call("GET", "/v1/me", made["key"])).status_code == 200
    assert (await browser.call("DELETE", f"/v1/apiKeys/{made['id']}", token)).status_code == 200
    remembered: ApiKeys = serving.gateway._authentication._api_keys
    clock = remembered._clock
    remembered._clock = lambda: clock() + 31
    try:
        answer = await browser.call("GET", "/v1/me", made["key"])
    finally:
        remembered._clock = clock
    assert (answer.status_code, reason(answer)) == (401, "TOKEN_INVALID")
    for bad in ("ar_live_", "ar_live_" + "A" * 43, "ar_live_" + "A" * 44, "ar_test_" + "A" * 43):
        assert reason(await browser.call("GET", "/v1/me", bad)) == "TOKEN_INVALID"


@pytest.mark.usefixtures("clock")
async def test_a_guesser_is_told_when_to_come_again(browser: Browser):
    await browser.register()
    login = {"email": browser.email, "password": "wrong password"}
    calls = (browser.call("POST", "/v1/auth:login", **login) for _ in range(12))
    answers = await asyncio.gather(*calls)
    locked = [answer for answer in answers if answer.status_code == 429]
    assert {answer.status_code for answer in answers} == {401, 429}
    assert reason(locked[0]) == "LOGIN_LOCKED"
    assert locked[0].headers["retry-after"] == "2"
    assert "authorization" not in locked[0].headers


async def test_a_changed_password_leaves_only_the_session_of_the_answer(browser: Browser):
    token = await browser.register()
    body = {"currentPassword": PASSWORD, "newPassword": "ένας νέος κωδικός"}
    old = browser.http.cookies["rt"]
    answer = await browser.call("POST", "/v1/me:changePassword", token, **body)
    assert answer.status_code == 200
    assert answer.headers["set-cookie"].startswith("rt=")
    browser.http.cookies.clear()
    assert (await browser.call("POST", "/v1/auth:refresh", refreshToken=old)).status_code == 401
    refreshed = await browser.call("POST", "/v1/auth:refresh", refreshToken=answer.json()["refreshToken"])
    assert refreshed.status_code == 200
    assert (await browser.call("GET", "/v1/me", answer.json()["accessToken"])).status_code == 200
