"""`make rolling`: every service is restarted under load, a pod after the other, as Kubernetes does it.

Two pods a service, at addresses of their own, found as they are in a cluster (`network.py`). One after the other gets
a successor: it starts, serves, is listed; then the old one is told to end, is listed for a moment more, and goes.
Meanwhile campaigns are sent, apps call, single texts go out, reports and answers come in. No call may fail, and of
every campaign the oracle has to say what it says of one that nothing happened to.

`--since COMMIT` is about two releases instead: pods of that commit's code serve from the schema of today, and then
beside pods of today's code.
"""

import argparse
import contextlib
import itertools
import json
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import grpc
import httpx
from grpc_health.v1 import health_pb2, health_pb2_grpc
from rich.console import Console

from deploy.local import ports
from deploy.local.children import Child, Stops
from deploy.local.members import MEMBERS, Kind, Member
from deploy.local.mesh import Mesh
from deploy.local.provision import ROOT
from tests.crash import oracle
from tests.crash.arena import Arena, Verdict
from tests.crash.load import Load
from tests.crash.runs import Run
from tests.shop import Shop

RUN = Run("rolling", "ok", "late")
SERVICES = tuple(member.name for member in MEMBERS if member.kind != Kind.STAND_IN)
PODS = 2
LARGE, SMALL = 4000, 60
# Between two small campaigns.
PAUSE_SECONDS = 8.0
READY_SECONDS_MAX = 60.0
# As in `deploy/k8s`, and what a pod may take there to end.
DRAIN_DELAY_SECONDS, END_SECONDS_MAX = 5, 90.0
# A name server and kube-proxy hear of a pod so much after the kubelet: of the new one, and of the one that goes.
LISTED_SECONDS = 1.0
CLOSED_SECONDS_MAX = 180.0
STOPS: Stops = ((signal.SIGTERM, END_SECONDS_MAX), (signal.SIGKILL, 5.0))
SETTINGS = {
    # Batches that take longer than a sender may stay, of submissions that are limited.
    "campaigns": {"BATCH_SIZE": "400"},
    "sender": {"CHUNK_SIZE": "10", "MERCHANT_REQUESTS_PER_SECOND": "5"},
    "wallet": {"RECOUNT_INTERVAL_SECONDS": "5"},
}
# So that what the provider accepted for a phone is one campaign's.
FIRST_PHONES = itertools.count(10_000_000, LARGE)
console = Console(soft_wrap=True)


class Roll(Arena):
    """A mesh whose pods are replaced while it works."""

    def __init__(self, mesh: Mesh, port: int) -> None:
        super().__init__(mesh, mesh.data / "crash")
        self._port, self._front = port, mesh.wiring.ports["gateway"]
        self.pods = {name: {pod: mesh.children[f"{name}-{pod}"] for pod in range(1, PODS + 1)} for name in SERVICES}
        #: The seconds that each pod took to go.
        self.ends: dict[str, float] = {}

    @classmethod
    @contextlib.contextmanager
    def open(cls, code: Path = ROOT) -> Iterator["Roll"]:
        """`code`: what the first pods run."""
        front, port, names_port = ports.free(), ports.free(), ports.free()
        overrides = {
            f"{name}-{pod}": SETTINGS.get(name, {}) | _place(name, pod, port) | _known(names_port, port) | _code(code)
            for name in SERVICES
            for pod in range(1, PODS + 1)
        }
        mesh = Mesh.temporary(settings={"PORT": str(front)}, members=_members(names_port), overrides=overrides)
        _list(mesh, {name: range(1, PODS + 1) for name in SERVICES})
        with mesh:
            roll = cls(mesh, port)
            try:
                yield roll
            finally:
                roll.stop()

    def stop(self) -> None:
        """The pods that the mesh did not start."""
        with ThreadPoolExecutor(len(SERVICES)) as pool:
            list(pool.map(Child.stop, [pod for pods in self.pods.values() for pod in pods.values()]))

    def add(self, service: str) -> None:
        """One more pod, of today's code."""
        new = max(self.pods[service]) + 1
        self.pods[service][new] = self._started(service, new)
        time.sleep(LISTED_SECONDS)
        _list(self.mesh, self.pods)
        time.sleep(LISTED_SECONDS)
        console.print(f"{service}-{new} serves")

    def replace(self, service: str) -> None:
        """Every pod of a service, one after the other."""
        for old in list(self.pods[service]):
            self.add(service)
            going = self.pods[service].pop(old)
            going.program = replace(going.program, stops=STOPS)
            began = time.monotonic()
            with ThreadPoolExecutor(1) as pool:
                ended = pool.submit(going.stop)
                time.sleep(LISTED_SECONDS)
                _list(self.mesh, self.pods)
                ended.result()
            self.ends[going.name] = time.monotonic() - began
            console.print(f"{going.name} went in {self.ends[going.name]:.1f} s")

    def _started(self, service: str, pod: int) -> Child:
        program = next(iter(self.pods[service].values())).program
        environment = {**program.environment, **_place(service, pod, self._port), **_code(ROOT)}
        child = Child(replace(program, name=f"{service}-{pod}", environment=environment), self.mesh.run_folder)
        child.start()
        serves, port = (_serves_http, self._front) if service == "gateway" else (_serves, self._port)
        child.wait(lambda: serves(f"{_host(service, pod)}:{port}"), READY_SECONDS_MAX)
        return child


def perform(services: Sequence[str], code: Path) -> Verdict:
    """All services in turn under load, and what there is to be said against it."""
    verdict = Verdict(RUN)
    began = time.monotonic()
    with Roll.open(code) as roll:
        roll.provider.behave(**RUN.behaviour)
        campaigns: list[tuple[Shop, str]] = [_sent(roll, LARGE)]
        with Load(Shop(roll.mesh), *campaigns[0]) as load, _campaigns(roll, campaigns, load.failures):
            time.sleep(PAUSE_SECONDS)
            for service in services:
                roll.replace(service) if code == ROOT else roll.add(service)
            time.sleep(PAUSE_SECONDS)
        console.print(f"{dict(load.calls)}, the slowest {load.slowest_seconds:.2f} s; {len(campaigns)} campaigns")
        verdict.violations += [f"failed call: {failure}" for failure in load.failures]
        verdict.violations += [f"{name} had to be killed" for name, took in roll.ends.items() if took > END_SECONDS_MAX]
        verdict.violations += _lost_singles(roll, load)
        for shop, campaign in campaigns:
            closed = Verdict(RUN)
            shop.closed(campaign, CLOSED_SECONDS_MAX)
            roll.conclude(shop, partial(oracle.CampaignBooks, roll, shop, campaign), closed)
            verdict.violations += closed.violations
            for name, figure in closed.figures.items():
                verdict.figures[name] = verdict.figures.get(name, 0) + figure
        unknown = "SELECT campaign_id, detail FROM attempts WHERE state = 'UNKNOWN' OR detail <> ''"
        verdict.violations += [f"an attempt without an answer: {row}" for row in roll.rows("sender", unknown)]
    verdict.seconds = time.monotonic() - began
    return verdict


def _sent(roll: Roll, count: int) -> tuple[Shop, str]:
    """A campaign on its way, of a merchant of its own."""
    shop = Shop(roll.mesh)
    shop.bring(count, next(FIRST_PHONES))
    campaign = shop.campaign()
    shop.verb(campaign, "send")
    return shop, campaign


@contextlib.contextmanager
def _campaigns(roll: Roll, campaigns: list[tuple[Shop, str]], failures: list[str]) -> Iterator[None]:
    """One more small campaign every few seconds, so that each restart meets one being prepared, paid, sent, closed."""
    ended = threading.Event()

    def send() -> None:
        while not ended.wait(PAUSE_SECONDS):
            try:
                campaigns.append(_sent(roll, SMALL))
            except (AssertionError, httpx.HTTPError) as error:
                failures.append(f"a campaign could not be sent: {error!r}")

    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(send)
        try:
            yield
        finally:
            # Or the pool would wait for it for ever.
            ended.set()
        sending.result()


def _lost_singles(roll: Roll, load: Load) -> list[str]:
    """Single texts that the provider did not accept exactly once, or that were not reported."""
    url = f"http://{roll.mesh.wiring.address('mitto')}/_stand-in/accepted"
    found = []
    with httpx.Client(timeout=30) as client:
        for id, phone in zip(load.singles, load.texted, strict=True):
            deadline = time.monotonic() + CLOSED_SECONDS_MAX
            while (message := load.shop.call("GET", f"/v1/messages/{id}"))["state"] not in ("DELIVERED", "FAILED"):
                if time.monotonic() > deadline:
                    found.append(f"a single text stays {message['state']}")
                    break
                time.sleep(0.2)
            accepted = len(client.get(url, params={"destination": phone}).json()["messages"])
            found += [f"a single text was accepted {accepted} times"] if accepted != 1 else []
    return found


def _members(names_port: int) -> list[Member]:
    """The network in the gateway's place, and pods."""
    network = Member(
        "gateway",
        Kind.STAND_IN,
        arguments=("-m", "tests.crash.network"),
        port=("PORT", 8080),
        database=False,
        settings=lambda wiring: {
            "PORT": str(wiring.ports["gateway"]),
            "NAMES_PORT": str(names_port),
            "PODS": str(_list_file(wiring.data)),
        },
    )
    others = [member for member in MEMBERS if member.kind == Kind.STAND_IN]
    pods = [
        replace(member, name=f"{member.name}-{pod}", service=member.name, port=None)
        for member in MEMBERS
        if member.kind != Kind.STAND_IN
        for pod in range(1, PODS + 1)
    ]
    return [network, *others, *pods]


def _place(service: str, pod: int, port: int) -> dict[str, str]:
    host = _host(service, pod)
    place = {"ADDRESS": f"{host}:{port}", "METRICS_ADDRESS": f"{host}:{port + 1}"}
    return place | ({"HOST": host} if service == "gateway" else {})


def _known(names_port: int, port: int) -> dict[str, str]:
    """Where the others are: at a name."""
    names = {f"{name.upper()}_ADDRESS": f"dns://127.0.0.1:{names_port}/{name}.mesh:{port}" for name in SERVICES}
    return names | {"DRAIN_DELAY_SECONDS": str(DRAIN_DELAY_SECONDS)}


def _code(tree: Path) -> dict[str, str]:
    """Whose code a pod runs: a path that is not safe would begin with the folder that it is started in."""
    return {"PYTHONPATH": f"{tree}:{tree / 'gen'}", "PYTHONSAFEPATH": "1"}


@contextlib.contextmanager
def _checked_out(commit: str) -> Iterator[Path]:
    """The code of a commit, or of today."""
    if not commit:
        yield ROOT
        return
    with tempfile.TemporaryDirectory(prefix="astronote-code-") as folder:
        packed = subprocess.run(["git", "archive", commit], cwd=ROOT, check=True, capture_output=True).stdout
        subprocess.run(["tar", "-x"], cwd=folder, check=True, input=packed)
        yield Path(folder)


def _host(service: str, pod: int) -> str:
    return f"127.0.{10 + SERVICES.index(service)}.{pod}"


def _list_file(data: Path) -> Path:
    return data / "pods.json"


def _list(mesh: Mesh, pods: Mapping[str, Mapping[int, Child] | range]) -> None:
    """Tells the network who is there."""
    file = _list_file(mesh.data)
    fresh = file.with_suffix(".new")
    fresh.write_text(json.dumps({name: [_host(name, pod) for pod in each] for name, each in pods.items()}))
    fresh.rename(file)


def _serves(address: str) -> bool:
    """As the kubelet asks."""
    with grpc.insecure_channel(address) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=1)
        except grpc.RpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def _serves_http(address: str) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(f"http://{address}/readyz?own", timeout=1).is_success
    return False


def main() -> int:
    parser = argparse.ArgumentParser(prog="make rolling", description=__doc__)
    parser.add_argument("--only", action="append", choices=SERVICES, help="a service, instead of all")
    parser.add_argument("--since", default="", help="the commit of an older release")
    options = parser.parse_args()
    with _checked_out(options.since) as code:
        verdict = perform(options.only or SERVICES, code)
    for violation in verdict.violations[:50]:
        console.print(f"✗ {violation}", style="red", markup=False)
    console.print(f"{verdict.seconds:.0f} s, {verdict.figures}, {len(verdict.violations)} violations")
    return bool(verdict.violations)


if __name__ == "__main__":
    sys.exit(main())
