"""Real parts for every test: a PostgreSQL and a NATS a session, services in this process on free ports.

Isolation is a fresh merchant per test. `tests/e2e` starts the same services as processes.
"""

import asyncio
import importlib
import os
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import structlog

from deploy.local import ports, provision
from deploy.local.credentials import KeyPair
from deploy.local.nats import Nats
from deploy.local.postgres import Postgres
from kit.app import App, Running, Service
from kit.channel import Peer
from kit.config import MeshSettings
from kit.identity import Identity

SERVICES = ("accounts", "contacts", "campaigns", "wallet", "sender")
KEYS = {name: KeyPair.generate() for name in (*SERVICES, "gateway", "ops")}
PUBLIC_KEYS = {name: pair.public for name, pair in KEYS.items()}
STRIPE_TEST_KEY = os.environ.get("STRIPE_TEST_KEY", "")
assert not STRIPE_TEST_KEY or "_test_" in STRIPE_TEST_KEY, "tests pay with nobody's money"
# What the services need beyond the mesh's own settings; a test may override a part of it.
SETTINGS: dict[str, dict[str, Any]] = {
    "accounts": {"signing_key_encryption_key": "A" * 43},
    "contacts": {"suppression_key": "A" * 43, "public_base_url": "http://shop.test"},
    "campaigns": {"link_key": "A" * 43, "public_base_url": "http://shop.test"},
    # Where the tests of billing start a stand-in; nobody answers there for the others. With a key it is Stripe itself.
    "wallet": {
        "stripe_api_base": "https://api.stripe.com" if STRIPE_TEST_KEY else f"http://127.0.0.1:{ports.free()}",
        "stripe_secret_key": STRIPE_TEST_KEY or "sk_test_key",
        "stripe_webhook_secret": "whsec_secret",
    },
    "sender": {
        "mitto_api_base": f"http://127.0.0.1:{ports.free()}",
        "mitto_api_key": "key",
        "mitto_traffic_account_id": "local",
        "webhook_secret": "secret",
    },
}

# Its default draws a traceback with every local in it, which takes seconds of the one event loop that all share.
structlog.configure(
    processors=[
        structlog.processors.add_log_level,
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ],
    # Not what a test of the command line has put in the place of the standard streams.
    logger_factory=structlog.PrintLoggerFactory(sys.__stderr__),
)


class TestMesh:
    """Services in this process, started when a test first asks for them."""

    __test__ = False

    def __init__(self, postgres: Postgres, nats: Nats) -> None:
        self._postgres, self._nats = postgres, nats
        self._ports = {name: ports.free() for name in SERVICES}
        self._databases: dict[str, provision.Database] = {}
        self._running: dict[str, tuple[App[Any], Running]] = {}
        self._peers: dict[tuple[str, str], Peer] = {}

    async def service(self, name: str, caller: str = "gateway") -> Peer:
        """A peer that speaks to the service in the caller's name."""
        if name not in self._running:
            await self.start(name)
        if (name, caller) not in self._peers:
            file = importlib.import_module(f"astronote.{name}.v1.{name}_pb2").DESCRIPTOR
            identity = Identity(caller, KEYS[caller].private, PUBLIC_KEYS)
            peer = Peer(file, f"127.0.0.1:{self._ports[name]}", identity)
            # gRPC remembers, for all channels to an address, that nobody answered there a moment ago.
            async with asyncio.timeout(10):
                await peer.channel.channel_ready()
            self._peers[name, caller] = peer
        return self._peers[name, caller]

    async def start(self, name: str, settings: dict[str, Any] | None = None) -> App[Any]:
        service: Service[Any] = importlib.import_module(f"services.{name}.__main__").SERVICE
        chosen = service.settings(**self._settings(name), **{**SETTINGS[name], **(settings or {})})
        app = App(name, chosen, service.store)
        running = Running(app, service.parts(app))
        self._running[name] = (app, running)
        await running.__aenter__()
        return app

    @asynccontextmanager
    async def with_settings(self, name: str, **settings: Any) -> AsyncIterator[None]:
        """The service anew, with settings of a test's own, until the block ends."""
        if name in self._running:
            await self.stop(name)
        await self.start(name, settings)
        # Other services' channels to it find it at once, too: they share the connection.
        await self.service(name)
        try:
            yield
        finally:
            await self.stop(name)

    async def stop(self, name: str) -> None:
        for key in [key for key in self._peers if key[0] == name]:
            await self._peers.pop(key).channel.close()
        _, running = self._running.pop(name)
        await running.__aexit__(None, None, None)

    def running(self) -> set[str]:
        return set(self._running)

    def app(self, name: str) -> App[Any]:
        return self._running[name][0]

    def database(self, name: str) -> provision.Database:
        """A migrated database of the service's own."""
        if name not in self._databases:
            passwords = dict.fromkeys(provision.role_names(SERVICES), "test")
            made = provision.provision(self._postgres.url(), [name], passwords)
            provision.migrate(made)
            self._databases |= made
        return self._databases[name]

    async def close(self) -> None:
        for name in list(self._running):
            await self.stop(name)

    def mesh_settings(self, name: str) -> dict[str, Any]:
        """What every process of the mesh needs, a gateway too."""
        mesh = MeshSettings.model_fields
        return {
            "mesh_private_key": KEYS[name].private,
            "mesh_public_keys": PUBLIC_KEYS,
            **{
                f"{peer}_address": f"127.0.0.1:{port}"
                for peer, port in self._ports.items()
                if f"{peer}_address" in mesh
            },
        }

    def _settings(self, name: str) -> dict[str, Any]:
        database = self.database(name)
        return {
            **self.mesh_settings(name),
            "address": f"127.0.0.1:{self._ports[name]}",
            "database_url": database.url,
            "pipeline_database_url": database.pipeline_url,
            "nats_url": self._nats.url,
        }


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with Postgres(tmp_path_factory.mktemp("postgres"), erase=True) as server:
        yield server


@pytest.fixture(scope="session")
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nats]:
    with Nats(tmp_path_factory.mktemp("nats"), token="test", erase=True) as server:
        yield server


@pytest.fixture(scope="session")
async def mesh(postgres: Postgres, nats_server: Nats) -> AsyncIterator[TestMesh]:
    mesh = TestMesh(postgres, nats_server)
    yield mesh
    await mesh.close()


@pytest.fixture
def merchant_id() -> str:
    return str(uuid.uuid4())
