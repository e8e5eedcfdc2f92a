"""The command line by itself: what it asks of a channel, and what its pages say of it."""

import re
import threading
from typing import Any

import grpc
import grpc_testing
from typer.main import get_command
from typer.testing import CliRunner

from astronote.sender.v1 import operations_pb2 as pb
from deploy.local import ports
from kit.config import MeshSettings
from ops.__main__ import app
from ops.commands import sending
from ops.session import Mesh, Session
from tests.conftest import KEYS, PUBLIC_KEYS
from tests.deploy.conftest import ROOT

SERVICE = pb.DESCRIPTOR.services_by_name["RouteOperationsService"]


class Faked(Mesh):
    """A channel that answers what a test says."""

    def __init__(self) -> None:
        super().__init__(MeshSettings(mesh_private_key=KEYS["ops"].private, mesh_public_keys=PUBLIC_KEYS))
        self.faked = grpc_testing.channel([SERVICE], grpc_testing.strict_real_time())

    def channel(self, service: str) -> Any:
        assert service == "sender"
        return self.faked

    def answers(self, method: str, answer: Any) -> Any:
        """To the next call; its request."""
        _, request, call = self.faked.take_unary_unary(SERVICE.methods_by_name[method])
        call.send_initial_metadata(())
        call.terminate(answer, (), grpc.StatusCode.OK, "")
        return request


def test_a_drain_waits_for_what_is_in_hand(monkeypatch: Any) -> None:
    monkeypatch.setattr(sending, "POLL_SECONDS", 0.0)
    mesh, results = Faked(), []
    run = threading.Thread(
        target=lambda: results.append(CliRunner().invoke(app, ["--json", "drain", "--yes"], obj=Session(mesh)))
    )
    run.start()
    mesh.answers("DrainRoute", pb.ProviderRoute(is_drained=True, attempts_in_hand=2))
    mesh.answers("GetRoute", pb.ProviderRoute(is_drained=True, attempts_in_hand=1))
    assert not results
    mesh.answers("GetRoute", pb.ProviderRoute(is_drained=True))
    run.join(10)
    assert results[0].exit_code == 0


def test_pages_name_commands_that_there_are() -> None:
    """`ops …` in the docs is what the command line offers."""
    pages = (ROOT / "docs").rglob("*.md")
    said = [words for page in pages for words in re.findall(r"`ops ([^`]+)`", page.read_text())]
    assert len(said) > 10
    for words in said:
        command: Any = get_command(app)
        for word in words.split():
            if word not in getattr(command, "commands", {}):
                break
            command = command.commands[word]
        options = {option for each in command.params for option in each.opts}
        assert not hasattr(command, "commands"), words
        assert set(re.findall(r"--[a-z-]+", words)) <= options, words


def test_settings_that_are_missing_are_named() -> None:
    result = CliRunner(env={"MESH_PRIVATE_KEY": ""}).invoke(app, ["keys", "list"])
    assert result.exit_code == 1
    assert "MESH_PUBLIC_KEYS" in result.output


def test_who_is_away_is_said() -> None:
    keys = {"mesh_private_key": KEYS["ops"].private, "mesh_public_keys": PUBLIC_KEYS}
    mesh = Mesh(MeshSettings(**keys, sender_address=f"{ports.HOST}:{ports.free()}"))
    result = CliRunner().invoke(app, ["unknowns"], obj=Session(mesh))
    assert (result.exit_code, result.output.startswith("sender: UNAVAILABLE: ")) == (1, True)
