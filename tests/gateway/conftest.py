"""A gateway on a free port before small servicers of the real contracts, over real HTTP and gRPC."""

from collections.abc import AsyncIterator

import httpx
import pytest

from astronote.accounts.v1 import accounts_pb2_grpc as accounts_rpc
from astronote.campaigns.v1 import campaigns_pb2_grpc as campaigns_rpc
from astronote.campaigns.v1 import links_pb2_grpc as links_rpc
from astronote.contacts.v1 import contacts_pb2_grpc as contacts_rpc
from astronote.sender.v1 import sender_pb2_grpc as sender_rpc
from kit.identity import Identity
from kit.server import Server
from services.gateway.serving import Serving
from tests.gateway.servicers import (
    KEYS,
    PUBLIC_KEYS,
    Auth,
    Campaigns,
    Contacts,
    Imports,
    Links,
    Record,
    Reports,
    ShortLinks,
    settings,
    token,
)


@pytest.fixture
def record(_record: Record) -> Record:
    """Empty for each test."""
    _record.__init__()  # type: ignore[misc]
    return _record


@pytest.fixture(scope="session")
def _record() -> Record:
    return Record()


@pytest.fixture(scope="session")
async def service_ports(_record: Record) -> AsyncIterator[dict[str, int]]:
    servicers = {
        "accounts": {accounts_rpc.add_AuthServiceServicer_to_server: Auth(_record)},
        "contacts": {
            contacts_rpc.add_ContactsServiceServicer_to_server: Contacts(_record),
            contacts_rpc.add_ImportsServiceServicer_to_server: Imports(_record),
        },
        "campaigns": {
            campaigns_rpc.add_CampaignsServiceServicer_to_server: Campaigns(_record),
            campaigns_rpc.add_LinksServiceServicer_to_server: Links(_record),
            links_rpc.add_ShortLinksServiceServicer_to_server: ShortLinks(_record),
        },
        "wallet": {},
        "sender": {sender_rpc.add_ReportsServiceServicer_to_server: Reports(_record)},
    }
    servers = {
        name: Server("127.0.0.1:0", adds, Identity(name, KEYS[name].private, PUBLIC_KEYS))
        for name, adds in servicers.items()
    }
    for server in servers.values():
        await server.__aenter__()
    yield {name: server.port for name, server in servers.items()}
    for server in servers.values():
        await server.__aexit__()


@pytest.fixture(scope="session")
async def serving(service_ports: dict[str, int]) -> AsyncIterator[Serving]:
    async with Serving(settings(service_ports)) as serving:
        yield serving


@pytest.fixture
async def anonymous(serving: Serving, record: Record) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{serving.port}", trust_env=False) as client:
        yield client


@pytest.fixture
async def http(anonymous: httpx.AsyncClient, merchant_id: str) -> httpx.AsyncClient:
    """A client that is logged in as the merchant."""
    anonymous.headers["authorization"] = f"Bearer {token(merchant_id)}"
    return anonymous
