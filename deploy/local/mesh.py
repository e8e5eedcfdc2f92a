"""The whole mesh on one machine, as children of this process.

with Mesh.temporary() as mesh:
    httpx.post(f"{mesh.url}/v1/auth:register", json={...})
    mesh.kill("sender")  # it is started again
"""

import contextlib
import fcntl
import http.client
import os
import shlex
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Self

from sqlalchemy.engine import make_url

from deploy.local import ports, provision
from deploy.local.children import GRACEFUL, Child, Program, end_stale, stop_together
from deploy.local.credentials import Credentials
from deploy.local.errors import LocalMeshError, MeshRunningError, PortTakenError
from deploy.local.members import MEMBERS, OPERATOR, Kind, Member, Wiring, environment, operator
from deploy.local.nats import Nats, check
from deploy.local.postgres import Postgres
from deploy.local.provision import ROOT, Database

READY_SECONDS = 90.0
PORTS_A_MESH = 20
TAKEN_SECONDS = 3.0  # what a killed mesh needs to let go of its ports

Report = Callable[[str, str, float], None]  # stage, detail, seconds


class Mesh:
    """Starts, watches and stops everything. `environment` is what README says of `make run`; port 0 picks a free one.

    `overrides`: member → settings on top of its own. `erase` deletes the data folder at the end.
    """

    def __init__(
        self,
        data: Path,
        *,
        environment: Mapping[str, str] = os.environ,
        members: Sequence[Member] = MEMBERS,
        overrides: Mapping[str, Mapping[str, str]] | None = None,
        report: Report = lambda *_: None,
        erase: bool = False,
    ):
        self.data = data.absolute()
        self.run_folder = self.data / "run"
        self.environment = {name: value for name, value in environment.items() if value}
        self.members = [member for member in members if not self.environment.get(member.real)]
        self.children: dict[str, Child] = {}
        self.wiring: Wiring
        self._overrides = overrides or {}
        self._report = report
        self._erase = erase
        self._preferred = iter(range(0))
        self._undo = ExitStack()

    @classmethod
    def temporary(
        cls,
        *,
        settings: Mapping[str, str] | None = None,
        members: Sequence[Member] = MEMBERS,
        overrides: Mapping[str, Mapping[str, str]] | None = None,
    ) -> Self:
        """For tests: free ports and a folder that is deleted at the end; `settings` are added to our environment."""
        data = Path(tempfile.mkdtemp(prefix="astronote-"))
        data.chmod(0o755)  # root's Postgres runs as another user
        fixed = {member.port[0]: "0" for member in members if member.port}
        chosen = {**os.environ, **fixed, **(settings or {})}
        return cls(data, environment=chosen, members=members, overrides=overrides, erase=True)

    @property
    def url(self) -> str:
        """The gateway."""
        return f"http://{self.wiring.address('gateway')}"

    @property
    def databases(self) -> Mapping[str, Database]:
        return self.wiring.databases

    def start(self) -> None:
        """Returns when the gateway says that it is ready. Raises LocalMeshError; then nothing is left running."""
        with ExitStack() as undo:
            self._start(undo)
            self._undo = undo.pop_all()

    def stop(self) -> None:
        """Gateway, services, stand-ins, NATS, Postgres, each within a bound."""
        self._undo.close()
        self.children.clear()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> int:
        """Sends a signal to a child and returns the process it went to; one that dies is started again."""
        return self.children[name].kill(number)

    def wipe_stream(self) -> None:
        """The broker dies, its disk with it, and an empty one comes back."""
        child = self.children["nats"]
        child.stop()
        shutil.rmtree(self.data / "nats" / "jetstream")
        child.start()

    def wait_ready(self, timeout_seconds: float = READY_SECONDS) -> None:
        """Until the gateway answers /readyz with 200, which it does when the whole mesh can be reached."""
        exits = {child: child.exits for child in self.children.values()}
        deadline = time.monotonic() + timeout_seconds
        while not _is_ready(self.wiring.ports["gateway"]):
            for child, count in exits.items():
                child.check(count)
            if time.monotonic() > deadline:
                tails = "\n".join(child.tail() for child, count in exits.items() if child.exits > count)
                gateway = self.children["gateway"].tail()
                raise LocalMeshError(f"not ready after {timeout_seconds:.0f} s\n{tails}\n{gateway}")
            time.sleep(0.05)

    def _start(self, undo: ExitStack) -> None:
        self.run_folder.mkdir(parents=True, exist_ok=True)
        if self._erase:
            undo.callback(shutil.rmtree, self.data, ignore_errors=True)
        undo.enter_context(_locked(self.run_folder, self.data))
        for pid_file in self.run_folder.glob("*.pid"):
            end_stale(pid_file)
        identities = list(dict.fromkeys(member.identity for member in self.members if member.kind != Kind.STAND_IN))
        owners = list(dict.fromkeys(member.identity for member in self.members if member.database))
        credentials = Credentials.keep(self.data, provision.role_names(owners), [*identities, OPERATOR])
        self.wiring = Wiring(self.data, self.environment, credentials, self._ports(), self._metrics())
        for member in self.members:  # what is missing is said before anything starts
            member.settings(self.wiring)
        self._write_operator()
        admin_url = self._start_postgres(undo)
        self.wiring = replace(self.wiring, nats_url=self._start_nats(undo))
        self._start_members(Kind.STAND_IN, undo)
        with self._stage("databases", ", ".join(owners)):
            databases = provision.provision(admin_url, owners, credentials.databases)
            provision.migrate(databases)
        self.wiring = replace(self.wiring, databases=databases)
        self._start_members(Kind.SERVICE, undo)
        self._start_members(Kind.GATEWAY, undo)
        for member in self.members:
            if member.kind == Kind.STAND_IN:
                port = self.wiring.ports[member.name]
                self.children[member.name].wait(partial(ports.answers, port), READY_SECONDS)
        if "gateway" in self.wiring.ports:
            with self._stage("ready", self.url):
                self.wait_ready()

    def _start_postgres(self, undo: ExitStack) -> str:
        """The administrator's URL: ours, or the one in DATABASE_URL."""
        if given := self.environment.get("DATABASE_URL"):
            return make_url(given).set(drivername="postgresql+psycopg").render_as_string(hide_password=False)
        server = Postgres(self.data / "postgres", self._derived(), run_folder=self.run_folder, erase=self._erase)
        undo.callback(server.stop)
        with self._stage("postgres", f"{ports.HOST}:{server.port}"):
            server.start()
        assert server.child
        self.children["postgres"] = server.child
        return server.url()

    def _start_nats(self, undo: ExitStack) -> str:
        """Ours, or the one in NATS_URL, which has to be new enough."""
        if given := self.environment.get("NATS_URL"):
            check(given)
            return given
        token = self.wiring.credentials.nats_token
        server = Nats(self.data / "nats", self._derived(), token=token, run_folder=self.run_folder)
        undo.callback(server.stop)
        with self._stage("nats", f"{ports.HOST}:{server.port}"):
            server.start()
        assert server.child
        self.children["nats"] = server.child
        return server.url

    def _write_operator(self) -> None:
        """The settings of `python -m ops`, for a shell to read."""
        file = self.data / f"{OPERATOR}.env"
        file.touch(mode=0o600)
        lines = (f"{name}={shlex.quote(value)}\n" for name, value in operator(self.wiring).items())
        file.write_text("".join(lines))

    def _start_members(self, kind: Kind, undo: ExitStack) -> None:
        """All of a kind at once; it is `ready` that waits."""
        settings = {member.name: environment(member, self.wiring) for member in self.members if member.kind == kind}
        # A secret is given to the one that needs it and not inherited by the others.
        ours = {"DATABASE_URL", "PIPELINE_DATABASE_URL", "NATS_URL", "WEBHOOK_SECRET"} | {
            name for name in self.environment if name.startswith(("MITTO_", "STRIPE_")) or name.endswith("_KEY")
        }
        inherited = {name: value for name, value in self.environment.items() if name not in ours}
        children = [
            Child(
                Program(
                    name=member.name,
                    command=member.command,
                    environment={**inherited, **settings[member.name], **self._overrides.get(member.name, {})},
                    folder=ROOT,
                    stops=GRACEFUL,
                ),
                self.run_folder,
            )
            for member in self.members
            if member.kind == kind
        ]
        undo.callback(stop_together, children)
        with self._stage(kind.name.lower().replace("_", "-"), ", ".join(settings)):
            for child in children:
                self.children[child.name] = child
                child.start()

    def _ports(self) -> dict[str, int]:
        """Where members serve: as the environment says, or derived from the gateway's port, if that is free."""
        chosen = {}
        for member in self.members:
            if member.port:
                setting, default = member.port
                wished = self.environment.get(setting, str(default))
                chosen[member.name] = ports.free() if wished == "0" else _wait_free(setting, wished)
        if self.environment.get("PORT", "") != "0" and "gateway" in chosen:
            # Two meshes' blocks are apart unless their PORTs are equal modulo 500; then free ones are found.
            block = 10_000 + chosen["gateway"] % 500 * PORTS_A_MESH
            self._preferred = iter(range(block, block + PORTS_A_MESH))
        for member in self.members:
            if not member.port:
                chosen[member.name] = self._derived()
        return chosen

    def _metrics(self) -> dict[str, int]:
        return {member.name: self._derived() for member in self.members if member.kind != Kind.STAND_IN}

    def _derived(self) -> int:
        return ports.free(next(self._preferred, 0))

    @contextlib.contextmanager
    def _stage(self, stage: str, detail: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self._report(stage, detail, time.monotonic() - began)


@contextlib.contextmanager
def _locked(run_folder: Path, data: Path) -> Iterator[None]:
    """One mesh a data folder. The kernel lets go of the lock with the process, however it ends."""
    with (run_folder / "mesh.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            raise MeshRunningError(
                f"a mesh (process {lock.read().strip()}) runs on {data}: stop it, or set ASTRONOTE_DATA, PORT, "
                "MITTO_PORT and STRIPE_PORT for a second one"
            ) from error
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


def _wait_free(setting: str, wished: str) -> int:
    if not wished.isdecimal() or int(wished) > ports.POSSIBLE_MAX:
        raise PortTakenError(f"{setting} is {wished}, and has to be a number up to {ports.POSSIBLE_MAX}")
    port, deadline = int(wished), time.monotonic() + TAKEN_SECONDS
    while not ports.is_free(port):
        if time.monotonic() > deadline:
            raise PortTakenError(f"port {port} is in use: stop what listens there, or set {setting} to another one")
        time.sleep(0.1)
    return port


def _is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection(ports.HOST, port, timeout=2)
    with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    return False
