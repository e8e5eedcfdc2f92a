"""Who may speak to whom in a cluster is who does, by the channels that the code opens, and nobody else."""

import importlib
from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf.descriptor import FileDescriptor

from kit.app import App
from kit.channel import Peer
from services.gateway import contracts
from tests.conftest import KEYS, PUBLIC_KEYS, SERVICES, SETTINGS
from tests.deploy.conftest import Build, Manifest, of_kind

# The overlays are built once.
pytestmark = pytest.mark.xdist_group("deploy")
Call = tuple[str, str]
# Nothing is asked there: a service is only put together.
NOWHERE = dict.fromkeys(("database_url", "pipeline_database_url"), "postgresql+psycopg://nobody@127.0.0.1:9/none")
NOWHERE |= {"nats_url": "nats://127.0.0.1:9"}
# An operator may ask any service.
OPS = {("ops", service) for service in SERVICES}


class Recorded(App[Any]):
    """Remembers to whom channels were opened."""

    peers: list[Peer]

    def peer(self, file: FileDescriptor) -> Peer:
        self.peers = [*getattr(self, "peers", []), super().peer(file)]
        return self.peers[-1]


@pytest.fixture(scope="module")
async def calls() -> set[Call]:
    """Those to which the services open channels when they are put together, and the gateway's."""
    found = {("gateway", contracts.mesh_service(file)) for file in contracts.files()}
    for name in SERVICES:
        service = importlib.import_module(f"services.{name}.__main__").SERVICE
        mine = {"mesh_private_key": KEYS[name].private, "mesh_public_keys": PUBLIC_KEYS, **NOWHERE, **SETTINGS[name]}
        app = Recorded(name, service.settings(**mine), service.store)
        parts = service.parts(app)
        for peer in getattr(app, "peers", []):
            found.add((name, peer.service))
            await peer.channel.close()
        for close in parts.closers:
            await close()
        await app.database.close()
    return found


def chosen(peers: list[Manifest]) -> Iterator[str]:
    """The names under which the pods of a rule go."""
    for peer in peers:
        selector = peer.get("podSelector", {})
        if app := selector.get("matchLabels", {}).get("app"):
            yield app
        for expression in selector.get("matchExpressions", []):
            yield from expression["values"]


def allowed(build: Build, way: str) -> set[Call]:
    """Calls to services that the policies allow, as those who are asked (`ingress`) or those who ask see it."""
    found = set()
    for policy in of_kind(build, "NetworkPolicy").values():
        own = policy["spec"]["podSelector"].get("matchLabels", {}).get("app")
        for rule in policy["spec"].get(way) or []:
            if {"port": "grpc"} not in rule.get("ports", []):
                continue
            for other in chosen(rule["from" if way == "ingress" else "to"]):
                found.add((other, own) if way == "ingress" else (own, other))
    return found


@pytest.mark.parametrize("overlay", ["local", "staging", "production"])
def test_the_call_graph_is_the_allow_list(overlay: str, builds: dict[str, Build], calls: set[Call]) -> None:
    assert allowed(builds[overlay], "ingress") == calls | OPS
    assert allowed(builds[overlay], "egress") == calls | OPS


@pytest.mark.parametrize("overlay", ["local", "staging", "production"])
def test_nothing_is_allowed_that_is_not_said(overlay: str, builds: dict[str, Build]) -> None:
    policies = of_kind(builds[overlay], "NetworkPolicy")
    nothing = policies.pop("nothing")["spec"]
    assert nothing == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for name, policy in policies.items():
        for rule in policy["spec"].get("ingress", []):
            assert rule.get("from"), name
            assert rule.get("ports"), name
        for rule in policy["spec"].get("egress", []):
            assert rule.get("ports"), name
    outside = {name for name, policy in policies.items() if "ipBlock" in str(policy["spec"].get("egress", ""))}
    assert outside == {"providers"}


def test_only_who_has_a_database_reaches_one(builds: dict[str, Build]) -> None:
    stores = builds["production"]["NetworkPolicy", "stores"]["spec"]["podSelector"]
    (expression,) = stores["matchExpressions"]
    assert set(expression["values"]) == {*SERVICES, "migrations"}
