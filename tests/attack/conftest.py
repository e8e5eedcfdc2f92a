"""The whole mesh as processes, for whoever attacks it from outside, and what it may not lose by that."""

import os
import secrets
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from deploy.local.mesh import Mesh
from kit.identity import _raw as key_bytes
from services.accounts import signing

# Rates have tests of their own: an attack that is refused as too frequent proves nothing else.
OVERRIDES = {"gateway": {"RATE_LIMIT_FACTOR": "100000"}}
REPLY_SECONDS = 10.0
# A pool of connections and a cache may grow to their size.
FILES_MORE_MAX = 20
MEMORY_MORE_BYTES_MAX = 150 * 1024 * 1024


@dataclass(frozen=True)
class Front:
    """The gateway of a running mesh, as the wire sees it."""

    mesh: Mesh

    @property
    def url(self) -> str:
        return self.mesh.url

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.mesh.wiring.ports["gateway"]

    def exchange(self, sent: bytes) -> bytes:
        """All that comes back on a connection of its own, until the gateway closes it or is silent."""
        with socket.create_connection(self.address, timeout=REPLY_SECONDS) as connection:
            connection.sendall(sent)
            connection.settimeout(1.0)
            found = b""
            try:
                while piece := connection.recv(65536):
                    found += piece
            except (TimeoutError, ConnectionResetError):
                pass
            return found

    def files(self) -> int:
        return len(os.listdir(f"/proc/{self.mesh.children['gateway'].pid}/fd"))

    def memory_bytes(self) -> int:
        """Resident."""
        pages = Path(f"/proc/{self.mesh.children['gateway'].pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def in_hand(self) -> float:
        """Requests that are being answered, as its metrics say."""
        metrics = httpx.get(f"http://127.0.0.1:{self.mesh.wiring.metrics['gateway']}/metrics").text
        return next(float(line.split()[1]) for line in metrics.splitlines() if line.startswith("http_in_hand "))

    def faults(self) -> list[str]:
        """What any service logged as a bug."""
        logs = (self.mesh.run_folder / f"{name}.log" for name in self.mesh.children)
        return [line for log in logs if log.exists() for line in log.read_text().splitlines() if "rpc failed" in line]


@dataclass(frozen=True)
class Merchant:
    """One who is logged in, with a contact to lose."""

    id: str
    token: str
    api_key: str
    contact_id: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


@pytest.fixture(scope="session")
def front() -> Iterator[Front]:
    with Mesh.temporary(overrides=OVERRIDES) as mesh:
        yield Front(mesh)


@pytest.fixture(scope="module")
def merchant(front: Front) -> Merchant:
    """Each module's own, since some leave little of it."""
    with httpx.Client(base_url=front.url, timeout=30) as http:

        def post(path: str, **body: Any) -> Any:
            answer = http.post(path, json=body)
            assert answer.is_success, answer.text
            return answer.json()

        email = f"{secrets.token_hex(6)}@example.com"
        session = post("/v1/auth:register", email=email, password="correct horse", company="Café", senderName="Cafe")
        http.headers["Authorization"] = f"Bearer {session['accessToken']}"
        contact, key = post("/v1/contacts", phone="+306912345678"), post("/v1/apiKeys", name="k", scopes=["READ"])
        return Merchant(session["merchant"]["id"], session["accessToken"], key["key"], contact["id"])


@pytest.fixture(scope="module")
def signing_key(front: Front, merchant: Merchant) -> tuple[str, Ed25519PrivateKey]:
    """The key that signs access tokens, stolen: its kid and itself. The merchant's token made it."""
    url = front.mesh.databases["accounts"].pipeline_url.replace("+psycopg", "")
    columns = ", ".join(signing.SigningKey.__dataclass_fields__)
    with psycopg.connect(url) as connection:
        row = connection.execute(f"SELECT {columns} FROM signing_keys WHERE state = 'ACTIVE'").fetchone()
    assert row is not None
    key = signing.SigningKey(*row)
    secret = key_bytes(front.mesh.wiring.credentials.signing_key_encryption_key)
    return key.kid, signing.opened(key, secret)


@pytest.fixture(scope="module")
def nothing_is_left(front: Front) -> Iterator[None]:
    """After the attacks: no bug in a log, no request still in hand, no file left open, memory within bounds."""
    files, memory_bytes = front.files(), front.memory_bytes()
    yield
    deadline = time.monotonic() + 20
    while (front.in_hand() or front.files() > files + FILES_MORE_MAX) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert front.in_hand() == 0
    assert front.files() <= files + FILES_MORE_MAX
    assert front.memory_bytes() <= memory_bytes + MEMORY_MORE_BYTES_MAX
    assert front.faults() == []
    assert httpx.get(f"{front.url}/readyz").status_code == 200
