"""The command line against the mesh of this process: it is synchronous, so it runs in a thread beside the loop."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from kit.config import MeshSettings
from ops.__main__ import app
from ops.session import Mesh, Session
from tests.conftest import KEYS, TestMesh

Ops = Callable[..., Awaitable[Result]]


@pytest.fixture
async def ops(mesh: TestMesh) -> Ops:
    settings = MeshSettings(**{**mesh.mesh_settings("gateway"), "mesh_private_key": KEYS["ops"].private})

    async def run(*words: object, says: str = "") -> Result:
        """What the command answers; `says` is what its operator types."""
        for service in ("accounts", "contacts", "campaigns", "wallet", "sender"):
            await mesh.service(service)
        arguments = [str(word) for word in words]
        return await asyncio.to_thread(CliRunner().invoke, app, arguments, input=says, obj=Session(Mesh(settings)))

    return run


def answered(result: Result) -> Any:
    assert result.exit_code == 0, (result.output, result.exception)
    return json.loads(result.stdout)
