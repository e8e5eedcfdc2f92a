import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from services.gateway import contracts, routes
from services.gateway.binding import Binding
from services.gateway.decoder import decoder
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
    # A second binding of a method is told apart by a number.
    assert {name.rstrip("0123456789") for name in operations(document)} == names
    assert sum(map(len, document["paths"].values())) == len(operations(document))


async def test_it_says_what_the_contract_says(document: dict[str, Any]) -> None:
    found = operations(document)
    get, patch, send = found["GetContact"], found["UpdateContact"], found["SendCampaign"]
    assert get["security"] == [{"accessToken": []}, {"apiKey": []}]
    assert found["CreateApiKey"]["security"] == [{"accessToken": []}]
    assert found["GrantCredits"]["security"] == [{"operatorToken": []}]
    assert {"webhookSecret": []} in found["ReceiveDeliveryReports"]["security"]
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
    # A thousand times the contract's, as the settings of these tests say.
    assert {"by": "address", "count": 50_000, "perSeconds": 600} in found["Login"]["x-rate-limit"]
    assert "RATE_LIMITED" in refusals(document, found["Login"])["429"]


def refusals(document: dict[str, Any], operation: dict[str, Any]) -> dict[str, set[str]]:
    """The reasons of an operation, by status."""
    found = {}
    for status, answer in operation["responses"].items():
        if "$ref" in answer:
            resolved = document["components"]["responses"][answer["$ref"].rpartition("/")[2]]
            found[status] = set(resolved["content"]["application/json"].get("examples", ()))
    return found


async def test_what_a_method_refuses_stands_under_its_status(document: dict[str, Any]) -> None:
    found = operations(document)
    create, patch = refusals(document, found["CreateContact"]), refusals(document, found["UpdateContact"])
    assert "PHONE_TAKEN" in create["409"]
    assert {"PHONE_INVALID", "FIELD_REQUIRED", "JSON_INVALID"} <= create["400"]
    # "What `CreateContact` refuses" is refused there as well.
    assert "PHONE_TAKEN" in patch["409"]
    assert "CONTACT_NOT_FOUND" in patch["404"]
    assert "LOGIN_LOCKED" in refusals(document, found["Login"])["429"]
    assert "401" not in refusals(document, found["Register"])
    assert "PAGE_TOKEN_INVALID" in refusals(document, found["ListContacts"])["400"]
    for name, operation in found.items():
        reasons = set().union(*refusals(document, operation).values())
        for sentence in re.findall(r"Refuses([^.]*)\.", operation["description"]):
            assert set(re.findall(r"`([A-Z]+(?:_[A-Z]+)+)`", sentence)) <= reasons, name


def contents(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every JSON body, request or answer, by the operation's name."""
    for name, operation in operations(document).items():
        bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
        for body in bodies:
            if found := body.get("content", {}).get("application/json"):
                yield name, found


async def test_examples_are_what_their_schemas_say(document: dict[str, Any]) -> None:
    validated = 0
    for name, content in contents(document):
        schema = {**content["schema"], "components": document["components"], "unevaluatedProperties": False}
        wrong = [error.message for error in Draft202012Validator(schema).iter_errors(content["example"])]
        assert wrong == [], name
        validated += 1
    assert validated > 40
    error = {"$ref": "#/components/schemas/Error", "components": document["components"]}
    for name, example in document["components"]["examples"].items():
        assert Draft202012Validator(error).is_valid(example["value"]), name


async def test_examples_are_what_the_gateway_takes(document: dict[str, Any]) -> None:
    found = operations(document)
    for file in contracts.files():
        for method in contracts.methods(file):
            for binding in map(Binding, routes.of(method)):
                content = found[method.name].get("requestBody", {}).get("content", {}).get("application/json")
                if content and binding.body is not None:
                    decoder(binding.body)(content["example"], 0)


async def test_what_is_required_has_an_example(document: dict[str, Any]) -> None:
    """Otherwise say one in the field's comment (such as `…`), or in protos/examples.json."""
    for name, content in contents(document):
        schema = content["schema"]
        if "$ref" in schema:
            schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        assert set(schema.get("required", ())) <= set(content["example"]), name


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
