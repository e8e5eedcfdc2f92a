import json
from typing import Any

import httpx
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from services.gateway import contracts, routes
from services.gateway.schemas import Comments


@pytest.fixture
async def document(anonymous: httpx.AsyncClient) -> dict[str, Any]:
    found: dict[str, Any] = (await anonymous.get("/openapi.json")).json()
    return found


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {found["operationId"]: found for verbs in document["paths"].values() for found in verbs.values()}


async def test_valid(document: dict[str, Any]) -> None:
    assert document["openapi"] == "3.1.0"
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []


async def test_every_route_is_in_it(document: dict[str, Any]) -> None:
    names = {
        method.name
        for file in contracts.files()
        for method in contracts.methods(file)
        for _ in routes.of(method)
    }  # fmt: skip
    assert set(operations(document)) == names


async def test_it_says_what_the_contract_says(document: dict[str, Any]) -> None:
    found = operations(document)
    get, patch, send = found["GetContact"], found["UpdateContact"], found["SendCampaign"]
    assert get["security"] == [{"accessToken": []}]
    assert "CONTACT_NOT_FOUND" in get["description"]
    assert found["Login"]["security"] == []
    assert patch["parameters"][0]["name"] == "id"
    assert patch["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith("contacts.Contact.Patch")
    assert "required" not in document["components"]["schemas"]["contacts.Contact.Patch"]
    assert document["components"]["schemas"]["contacts.Contact"]["required"] == ["phone"]
    assert document["components"]["schemas"]["contacts.Contact"]["properties"]["id"]["readOnly"]
    assert "id" not in send["requestBody"]["content"]["application/json"]["schema"]["properties"]
    assert {"Idempotency-Key"} == {each["name"] for each in send["parameters"] if each["in"] == "header"}
    assert list(found["WatchCampaign"]["responses"]["200"]["content"]) == ["text/event-stream"]
    assert list(found["ImportContacts"]["requestBody"]["content"]) == ["*/*"]
    assert found["ImportContacts"]["x-body-bytes-max"] == 512 * 1024 * 1024
    assert "202" in found["ReceiveDeliveryReports"]["responses"]
    assert found["Refresh"]["parameters"][0]["in"] == "cookie"
    assert not found["Refresh"]["requestBody"]["required"]


async def test_every_public_method_is_described(document: dict[str, Any]) -> None:
    assert [name for name, found in operations(document).items() if not found["description"]] == []


def test_comments_are_those_of_the_protos() -> None:
    assert Comments().of("astronote.contacts.v1.Contact.Subscription") == "Whether the person agreed to be texted."


async def test_docs_are_one_page_of_their_own(anonymous: httpx.AsyncClient, document: dict[str, Any]) -> None:
    answer = await anonymous.get("/docs")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "<script" not in answer.text
    assert "http://" not in answer.text.replace(json.dumps(document), "")
    for name in operations(document):
        assert f'id="{name}"' in answer.text
