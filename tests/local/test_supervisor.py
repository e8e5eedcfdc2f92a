"""Children that die are started again, children whose parent dies are gone, and everything stops within its bound."""

import base64
import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from deploy.local import children, ports
from deploy.local.children import MARK, Child, Program, end_stale, is_alive, is_ours
from deploy.local.credentials import Credentials, KeyPair
from deploy.local.errors import ChildFailedError, MeshRunningError, PortTakenError, SettingMissingError
from deploy.local.members import MEMBERS, Kind, Member
from deploy.local.mesh import Mesh
from deploy.local.provision import ROOT
from tests.waiting import until

SLEEPS = (sys.executable, "-c", "import time; time.sleep(600)")
IGNORES = (
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)",
)
FAILS = (sys.executable, "-c", "raise SystemExit('the reason')")

# A member of the mesh in miniature: says what it was given, serves /readyz where it was told to, dies when asked.
FAKE = """
import http.server, json, os, sys
name, folder = sys.argv[1:]
open(f"{folder}/{name}.json", "w").write(json.dumps(dict(os.environ)))
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
    def log_message(self, *_):
        pass
settings = os.environ
named = {"mitto": "MITTO_PORT", "stripe": "STRIPE_PORT", "gateway": "PORT"}
port = settings[named[name]] if name in named else settings.get("ADDRESS", ":0").split(":")[1]
http.server.HTTPServer(("127.0.0.1", int(port)), Handler).serve_forever()
"""

# A mesh in a process of its own, that tells its children's numbers and waits to be killed.
PARENT = """
import json, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
sys.path.insert(0, sys.argv[1] + "/gen")
from deploy.local.mesh import Mesh
from deploy.local.members import Member
members = (Member("worker", arguments=("-c", "import time; time.sleep(600)"), database=False),)
mesh = Mesh(Path(sys.argv[2]), members=members)
mesh.start()
print(json.dumps({name: child.pid for name, child in mesh.children.items()}), flush=True)
time.sleep(600)
"""


def program(command: tuple[str, ...], name: str = "one", **settings: object) -> Program:
    return replace(Program(name, command, dict(os.environ), ROOT), **settings)  # type: ignore[arg-type]


@contextlib.contextmanager
def running(child: Child) -> Iterator[Child]:
    child.start()
    try:
        yield child
    finally:
        child.stop()


@pytest.fixture
def fakes(tmp_path: Path) -> tuple[Member, ...]:
    """The real members with their real settings, each played by the same small server."""
    script = tmp_path / "fake.py"
    script.write_text(FAKE)
    return tuple(
        replace(member, arguments=(str(script), member.name, str(tmp_path)), database=False) for member in MEMBERS
    )


def given(folder: Path, name: str) -> dict[str, str]:
    until(lambda: (folder / f"{name}.json").exists() and (folder / f"{name}.json").read_bytes())
    settings: dict[str, str] = json.loads((folder / f"{name}.json").read_text())
    return settings


def test_a_child_that_dies_is_started_again_under_the_same_name(tmp_path: Path) -> None:
    with running(Child(program(SLEEPS), tmp_path)) as child:
        for _ in range(2):
            killed = child.kill()
            until(lambda killed=killed: child.pid != killed)
            assert int((tmp_path / "one.pid").read_text()) == child.pid
            assert is_alive(child.pid)
        assert child.exits == 2
        last = child.pid
    assert not is_alive(last)
    assert not (tmp_path / "one.pid").exists()


def test_a_stopped_child_stays_stopped_and_can_be_started_again(tmp_path: Path) -> None:
    child = Child(program(SLEEPS), tmp_path)
    child.stop()  # never started: nothing to do
    with running(child):
        first = child.pid
        child.stop()
        child.start()
        assert child.pid != first
        assert not is_alive(first)


def test_a_child_that_only_fails_is_given_up_with_its_last_words(tmp_path: Path) -> None:
    with (
        running(Child(program(FAILS), tmp_path)) as child,
        pytest.raises(ChildFailedError, match=r"(?s)one ends each time.*the reason"),
    ):
        child.wait(lambda: False, 30)


def test_the_pause_before_a_restart_grows(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with running(Child(program(FAILS), tmp_path)) as child:
        until(lambda: child.exits >= 4)
    assert [record.args[2] for record in caplog.records if record.args] == [0.1, 0.2, 0.4, 0.8]


def test_stopping_interrupts_the_pause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(children, "PAUSE_MIN_SECONDS", 60.0)
    with running(Child(program(FAILS), tmp_path)) as child:
        until(lambda: child.exits)
    assert "has not ended" not in caplog.text


def test_deaf_and_frozen_children_are_stopped_within_the_bound(tmp_path: Path) -> None:
    stops = ((signal.SIGTERM, 0.3), (signal.SIGKILL, 5.0))
    deaf, frozen = Child(program(IGNORES, stops=stops), tmp_path), Child(program(SLEEPS, "two", stops=stops), tmp_path)
    with running(deaf), running(frozen):
        until(lambda: deaf.log_file.read_text() == "deaf\n")
        frozen.kill(signal.SIGSTOP)
        pids = (deaf.pid, frozen.pid)
        deaf.stop()
        frozen.stop()
    assert not any(map(is_alive, pids))


def test_a_leftover_is_ended_and_a_stranger_with_its_number_is_not(tmp_path: Path) -> None:
    pid_file = tmp_path / "one.pid"
    leftover = subprocess.Popen(SLEEPS, env={**os.environ, MARK: str(pid_file)})
    stranger = subprocess.Popen(SLEEPS)
    try:
        for process, expected in ((stranger, True), (leftover, False)):
            until(lambda process=process: Path(f"/proc/{process.pid}/environ").read_bytes())
            pid_file.write_text(f"{process.pid}\n")
            end_stale(pid_file)
            assert is_alive(process.pid) is expected
            assert not pid_file.exists()
        assert not is_ours(leftover.pid, pid_file)
    finally:
        for process in (leftover, stranger):
            process.kill()
            process.wait()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the next start ends what is left")
def test_kill_9_of_the_parent_leaves_no_orphan_and_the_data_usable(tmp_path: Path) -> None:
    (tmp_path / "parent.py").write_text(PARENT)
    settings = {**os.environ, "PORT": "0", "DATABASE_URL": "", "NATS_URL": ""}
    with tempfile.TemporaryDirectory(prefix="astronote-") as data:
        Path(data).chmod(0o755)
        command = [sys.executable, str(tmp_path / "parent.py"), str(ROOT), data]
        for _ in range(2):
            with subprocess.Popen(command, env=settings, stdout=subprocess.PIPE) as parent:
                assert parent.stdout
                pids = json.loads(parent.stdout.readline())
                living = {name for name, pid in pids.items() if is_alive(pid)}
                parent.kill()
            assert living == {"postgres", "nats", "worker"}
            until(lambda pids=pids: not any(map(is_alive, pids.values())), 5)


def test_secrets_are_made_once_and_kept_to_ourselves(tmp_path: Path) -> None:
    first = Credentials.keep(tmp_path, ["contacts"], ["contacts"])
    second = Credentials.keep(tmp_path, ["contacts", "wallet"], ["contacts", "wallet"])
    file = tmp_path / "credentials.json"
    assert file.stat().st_mode & 0o777 == 0o600
    assert second.databases["contacts"] == first.databases["contacts"]
    assert second.mesh["contacts"] == first.mesh["contacts"]
    assert (second.link_key, second.nats_token) == (first.link_key, first.nats_token)
    assert set(second.mesh) == set(second.databases) == {"contacts", "wallet"}
    assert len({first.link_key, first.suppression_key, first.signing_key_encryption_key}) == 3


def test_a_key_pair_is_one() -> None:
    pair = KeyPair.generate()
    seed, public = (base64.urlsafe_b64decode(half + "=") for half in (pair.private, pair.public))
    assert Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw() == public


def test_every_member_gets_its_settings_and_nobody_elses_secrets(fakes: tuple[Member, ...], tmp_path: Path) -> None:
    settings = {"LINK_KEY": "from outside", "PATIENCE": "1"}
    with Mesh.temporary(settings=settings, members=fakes, overrides={"sender": {"LEASE_SECONDS": "2"}}) as mesh:
        sender, gateway, mitto = (given(tmp_path, name) for name in ("sender", "gateway", "mitto"))
        wallet, campaigns = given(tmp_path, "wallet"), given(tmp_path, "campaigns")
        accounts, stripe = given(tmp_path, "accounts"), given(tmp_path, "stripe")
        metrics = mesh.wiring.metrics
    assert sender["ADDRESS"] == campaigns["SENDER_ADDRESS"] == gateway["SENDER_ADDRESS"]
    assert sender["METRICS_ADDRESS"] == f"127.0.0.1:{metrics['sender']}"
    assert sender["MITTO_API_BASE"] == f"http://127.0.0.1:{mitto['MITTO_PORT']}"
    assert sender["MITTO_API_KEY"] == mitto["MITTO_API_KEY"]
    assert sender["WEBHOOK_SECRET"] == mitto["MITTO_CALLBACK_SECRET"]
    assert sender["LEASE_SECONDS"] == "2"
    assert mitto["MITTO_CALLBACK_URL"] == f"http://127.0.0.1:{gateway['PORT']}" == campaigns["PUBLIC_BASE_URL"]
    assert wallet["WELCOME_CREDITS"] == "1000000"
    assert wallet["STRIPE_API_BASE"] == f"http://127.0.0.1:{stripe['STRIPE_PORT']}"
    for secret in ("STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET"):
        assert wallet[secret] == stripe[secret]
    assert stripe["STRIPE_WEBHOOK_URL"] == f"http://127.0.0.1:{gateway['PORT']}/webhooks/stripe"
    assert campaigns["LINK_KEY"] == "from outside"
    assert len(accounts["SIGNING_KEY_ENCRYPTION_KEY"]) == 43
    assert accounts["PATIENCE"] == "1"
    assert set(json.loads(accounts["MESH_PUBLIC_KEYS"])) == {
        "accounts", "contacts", "campaigns", "wallet", "sender", "gateway", "ops",
    }  # fmt: skip
    for stranger in (accounts, gateway):
        assert not {"STRIPE_SECRET_KEY", "LINK_KEY", "MITTO_API_KEY", "WEBHOOK_SECRET"} & set(stranger)
    assert "STRIPE_SECRET_KEY" not in sender
    assert "MESH_PRIVATE_KEY" not in mitto


def test_the_mesh_restarts_what_dies_and_leaves_nothing_behind(fakes: tuple[Member, ...]) -> None:
    second = Member("sender-2", service="sender", arguments=next(m for m in fakes if m.name == "sender").arguments)
    with Mesh.temporary(members=(*fakes, replace(second, database=False))) as mesh:
        assert set(mesh.children) == {
            "postgres", "nats", "mitto", "stripe", "accounts", "contacts", "campaigns", "wallet", "sender", "sender-2",
            "gateway",
        }  # fmt: skip
        for name in ("nats", "postgres", "sender", "gateway"):
            killed = mesh.kill(name)
            until(lambda name=name, killed=killed: mesh.children[name].pid != killed)
        mesh.wait_ready()
        assert int((mesh.run_folder / "gateway.pid").read_text()) == mesh.children["gateway"].pid
        pids = [child.pid for child in mesh.children.values()]
    assert not any(map(is_alive, pids))
    assert not mesh.data.exists()


def test_two_meshes_stand_side_by_side_and_a_second_on_the_same_data_is_refused(fakes: tuple[Member, ...]) -> None:
    with Mesh.temporary(members=fakes) as one, Mesh.temporary(members=fakes) as two:
        assert not set(one.wiring.ports.values()) & set(two.wiring.ports.values())
        with pytest.raises(MeshRunningError, match=f"process {os.getpid()}"):
            Mesh(one.data, members=fakes).start()
        settings = {**os.environ, "ASTRONOTE_DATA": str(one.data)}
        command = [sys.executable, "-m", "deploy.local"]
        refused = subprocess.run(
            command, env=settings, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
        )
        assert refused.returncode == 1
        assert "runs on" in refused.stdout
        assert "Traceback" not in refused.stderr
        one.wait_ready(5)


def test_a_port_in_use_is_named_with_its_setting(fakes: tuple[Member, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.local.mesh.TAKEN_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        mesh = Mesh.temporary(members=fakes, settings={"PORT": str(port)})
        with pytest.raises(PortTakenError, match=f"port {port} is in use.*PORT"):
            mesh.start()
    assert not mesh.data.exists()


@pytest.mark.parametrize("wished", ["http", "-1", "65536"])
def test_what_is_no_port_is_named_with_its_setting(wished: str) -> None:
    mesh = Mesh.temporary(settings={"PORT": wished})
    with pytest.raises(PortTakenError, match=f"PORT is {wished}"):
        mesh.start()
    assert not mesh.data.exists()


def test_the_real_things_replace_the_stand_ins_only_with_their_keys(fakes: tuple[Member, ...], tmp_path: Path) -> None:
    real = {"MITTO_API_BASE": "https://messaging.example", "MITTO_API_KEY": "", "MITTO_TRAFFIC_ACCOUNT_ID": ""}
    with pytest.raises(SettingMissingError, match="MITTO_API_KEY, MITTO_TRAFFIC_ACCOUNT_ID"):
        Mesh.temporary(members=fakes, settings=real).start()
    with pytest.raises(SettingMissingError, match="STRIPE_WEBHOOK_SECRET"):
        Mesh.temporary(members=fakes, settings={"STRIPE_SECRET_KEY": "sk_live"}).start()
    full = {**real, "MITTO_API_KEY": "key", "MITTO_TRAFFIC_ACCOUNT_ID": "account"}
    full |= {"STRIPE_SECRET_KEY": "sk_live", "STRIPE_WEBHOOK_SECRET": "whsec_a,whsec_b"}
    with Mesh.temporary(members=fakes, settings=full) as mesh:
        assert not {"mitto", "stripe"} & set(mesh.children)
        assert given(tmp_path, "sender")["MITTO_API_BASE"] == "https://messaging.example"
        wallet = given(tmp_path, "wallet")
        assert (wallet["STRIPE_SECRET_KEY"], wallet["STRIPE_WEBHOOK_SECRET"]) == ("sk_live", "whsec_a,whsec_b")
        assert "STRIPE_API_BASE" not in wallet


def test_a_mesh_that_cannot_get_ready_says_why_and_stops(fakes: tuple[Member, ...], tmp_path: Path) -> None:
    failing = Member("gateway", Kind.GATEWAY, arguments=FAILS[1:], port=("PORT", 8080), database=False)
    mesh = Mesh.temporary(members=(*fakes[:-1], failing))
    with pytest.raises(ChildFailedError, match="the reason"):
        mesh.start()
    assert not mesh.data.exists()
    sender = int(given(tmp_path, "sender")["ADDRESS"].split(":")[1])
    assert not ports.answers(sender)


def test_fixed_ports_are_derived_from_the_gateways(fakes: tuple[Member, ...], tmp_path: Path) -> None:
    port = ports.free()
    with Mesh.temporary(members=fakes, settings={"PORT": str(port)}) as mesh:
        block = 10_000 + port % 500 * 20
        assert {mesh.wiring.ports[name] - block for name in ("accounts", "sender")} <= set(range(20))
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", "/readyz")
        assert connection.getresponse().status == 200
        connection.close()
