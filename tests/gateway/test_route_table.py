from dataclasses import replace

import pytest
from google.api import annotations_pb2, http_pb2
from google.protobuf.descriptor_pb2 import MethodOptions

from services.gateway import contracts, routes
from services.gateway.contracts import Method
from services.gateway.errors import ContractInvalid, PathInvalid, RouteNotFound, VerbNotAllowed
from services.gateway.routes import Route, Table

METHODS = {method.name: method for file in contracts.files() for method in contracts.methods(file)}


def route(verb: str, template: str, name: str = "GetContact") -> Route:
    return Route(verb, template, "", METHODS[name])


TABLE = Table([
    route("GET", "/v1/contacts"),
    route("POST", "/v1/contacts"),
    route("GET", "/v1/contacts/{id}"),
    route("PATCH", "/v1/contacts/{contact.id}"),
    route("POST", "/v1/contacts:import"),
    route("POST", "/v1/contacts/{id}:erase"),
    route("GET", "/v1/contacts/{id}/consents"),
    route("GET", "/v1/contacts/best"),
    route("GET", "/v1/{kind}/{id}/{last}"),
    route("GET", "/.well-known/jwks.json"),
])  # fmt: skip


@pytest.mark.parametrize(
    ("verb", "path", "template", "values"),
    [
        ("GET", b"/v1/contacts", "/v1/contacts", []),
        ("HEAD", b"/v1/contacts", "/v1/contacts", []),
        ("GET", b"/v1/contacts/7", "/v1/contacts/{id}", ["7"]),
        ("PATCH", b"/v1/contacts/7", "/v1/contacts/{contact.id}", ["7"]),
        ("POST", b"/v1/contacts:import", "/v1/contacts:import", []),
        ("POST", b"/v1/contacts/7:erase", "/v1/contacts/{id}:erase", ["7"]),
        ("GET", b"/v1/contacts/7/consents", "/v1/contacts/{id}/consents", ["7"]),
        ("GET", b"/v1/contacts/7/other", "/v1/{kind}/{id}/{last}", ["contacts", "7", "other"]),
        ("GET", b"/v1/contacts/best", "/v1/contacts/best", []),
        ("PATCH", b"/v1/contacts/best", "/v1/contacts/{contact.id}", ["best"]),
        ("GET", b"/.well-known/jwks.json", "/.well-known/jwks.json", []),
        # What is encoded is a character of the id, and never a separator.
        ("GET", b"/v1/contacts/a%2Fconsents", "/v1/contacts/{id}", ["a/consents"]),
        ("GET", b"/v1/contacts/7%3Aerase", "/v1/contacts/{id}", ["7:erase"]),
        ("GET", b"/v1/contacts/%CE%B1", "/v1/contacts/{id}", ["α"]),
        ("GET", b"/v1/contacts/a+b%20c", "/v1/contacts/{id}", ["a+b c"]),
        ("GET", b"/v1/contacts/%252e%252e", "/v1/contacts/{id}", ["%2e%2e"]),
        ("GET", b"/v1/%63ontacts", "/v1/contacts", []),
    ],
)
def test_match(verb: str, path: bytes, template: str, values: list[str]) -> None:
    found, found_values = TABLE.match(verb, path)
    assert (found.template, found_values) == (template, values)


@pytest.mark.parametrize(
    "path",
    [
        b"/", b"", b"*", b"/v1", b"/v2/contacts", b"/v1/contacts/", b"/v1//contacts", b"//v1/contacts",
        b"/v1/contacts/../x", b"/v1/contacts/..", b"/v1/contacts/.", b"/v1/contacts/%2e%2e", b"/v1/contacts/%2E",
        b"/v1/contacts/7:", b"/v1/contacts/7:unknown", b"/v1/contacts/:erase", b"/V1/contacts",
        b"/v1" + b"/a" * 5000,
    ],
)  # fmt: skip
def test_no_such_path(path: bytes) -> None:
    with pytest.raises((RouteNotFound, PathInvalid)):
        TABLE.match("GET", path)


@pytest.mark.parametrize("path", [b"/v1/contacts/%", b"/v1/contacts/%zz", b"/v1/contacts/%ff", b"/v1/contacts/a%00",
                                  b"/v1/contacts/a%0d%0ab", b"/v1/contacts/\xff"])  # fmt: skip
def test_malformed_path(path: bytes) -> None:
    with pytest.raises(PathInvalid):
        TABLE.match("GET", path)


@pytest.mark.parametrize(
    ("verb", "path", "allow"),
    [
        ("DELETE", b"/v1/contacts", "GET, HEAD, OPTIONS, POST"),
        ("DELETE", b"/v1/contacts/best", "GET, HEAD, OPTIONS, PATCH"),
        ("GET", b"/v1/contacts:import", "OPTIONS, POST"),
    ],
)
def test_only_the_verb_is_wrong(verb: str, path: bytes, allow: str) -> None:
    with pytest.raises(VerbNotAllowed) as refused:
        TABLE.match(verb, path)
    assert refused.value.metadata["allow"] == allow


def test_collisions_are_refused() -> None:
    with pytest.raises(ContractInvalid, match="both"):
        Table([route("GET", "/v1/a/{id}"), route("GET", "/v1/a/{phone}", "ListContacts")])


@pytest.mark.parametrize("template", ["/v1/{id=a/*}", "/v1/{id=**}", "/v1/a{id}", "/v1/*", "v1", "/v1/a b"])
def test_templates_that_are_not_carried(template: str) -> None:
    with pytest.raises(ContractInvalid):
        Table([route("GET", template)])


def test_the_contracts_routes_do_not_collide_and_each_leads_back() -> None:
    found = [route for method in METHODS.values() for route in routes.of(method)]
    table = Table(found)
    for each in found:
        path = routes.VARIABLE.sub("0", each.template).encode()
        assert table.match(each.verb, path)[0] is each


def test_what_is_internal_has_no_route() -> None:
    internal = [method for method in METHODS.values() if not method.role]
    assert internal
    assert not [route for method in internal for route in routes.of(method)]


def test_further_bindings_are_routes(monkeypatch: pytest.MonkeyPatch) -> None:
    options = MethodOptions()
    rule = http_pb2.HttpRule(get="/v1/a", additional_bindings=[http_pb2.HttpRule(post="/v1/b", body="*")])
    options.Extensions[annotations_pb2.http].CopyFrom(rule)

    class Descriptor:
        def GetOptions(self) -> MethodOptions:
            return options

    method = replace(METHODS["GetContact"])
    method.__dict__["role"] = "merchant"
    object.__setattr__(method, "descriptor", Descriptor())
    assert [(each.verb, each.template, each.body) for each in routes.of(method)] == [
        ("GET", "/v1/a", ""), ("POST", "/v1/b", "*"),
    ]  # fmt: skip
    assert isinstance(method, Method)
