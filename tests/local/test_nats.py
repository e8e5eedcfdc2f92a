"""A real server: who gets in, what it keeps, and when it is refused."""

import asyncio
import contextlib
import signal
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import nats
import pytest
from nats.aio.client import Client

from deploy.local.errors import NatsError
from deploy.local.nats import Nats, check

TOKEN = "t0-_ken"


@contextlib.asynccontextmanager
async def connected(url: str) -> AsyncIterator[Client]:
    client = await asyncio.wait_for(nats.connect(url, allow_reconnect=False, error_cb=quiet), 5)
    try:
        yield client
    finally:
        await asyncio.wait_for(client.close(), 5)


async def quiet(_error: Exception) -> None:
    """The default prints a traceback."""


async def wait_back(server: Nats, killed: int) -> None:
    async with asyncio.timeout(10):
        while True:
            with contextlib.suppress(NatsError):
                assert server.child
                if server.child.pid != killed:
                    check(server.url)
                    return
            await asyncio.sleep(0.02)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Nats]:
    with Nats(tmp_path / "nats", token=TOKEN) as started:
        yield started


async def test_acknowledged_messages_survive_kill_9_and_a_restart(server: Nats, tmp_path: Path) -> None:
    async with connected(server.url) as client:
        stream = client.jetstream()
        await stream.add_stream(name="kept", subjects=["kept.>"])
        for number in range(20):
            await stream.publish("kept.one", str(number).encode())
        assert server.child
        killed = server.child.kill(signal.SIGKILL)
    await wait_back(server, killed)
    server.stop()
    with Nats(tmp_path / "nats", token=TOKEN) as second:
        async with connected(second.url) as client:
            assert (await client.jetstream().stream_info("kept")).state.messages == 20


async def test_the_configuration_is_what_we_rely_on(server: Nats) -> None:
    async with connected(server.url) as client:
        assert client.max_payload == 8 * 1024 * 1024
        account = await client.jetstream().account_info()
        assert account.limits.max_storage == -1  # the server's own limit stands in its file
    configuration = (server.folder / "nats.conf").read_text()
    assert "sync_interval: always" in configuration
    assert "max_file_store: 10GB" in configuration
    assert (server.folder / "nats.conf").stat().st_mode & 0o777 == 0o600
    assert server.port < 32768


@pytest.mark.parametrize("token", ["", "wrong"])
def test_nobody_gets_in_without_the_token(server: Nats, token: str) -> None:
    """By hand: nats-py leaves its socket open when it is refused."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
        stream = connection.makefile("rwb")
        assert stream.readline().startswith(b"INFO ")
        stream.write(b'CONNECT {"auth_token":"%s","verbose":false}\r\nPING\r\n' % token.encode())
        stream.flush()
        assert stream.readline() == b"-ERR 'Authorization Violation'\r\n"
        stream.close()


@pytest.mark.parametrize(
    ("greeting", "reason"),
    [
        (b'INFO {"version":"2.12.2","jetstream":true}\r\n', "older than 2.12.3"),
        (b'INFO {"version":"2.9.10","jetstream":true}\r\n', "older than 2.12.3"),
        (b'INFO {"version":"2.13.0-RC.1"}\r\n', "no JetStream"),
        (b"HTTP/1.1 400 Bad Request\r\n", "no NATS server"),
    ],
)
def test_a_server_that_will_not_do_is_refused(greeting: bytes, reason: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def greet() -> None:
            accepted, _ = listener.accept()
            accepted.sendall(greeting)
            accepted.close()

        thread = threading.Thread(target=greet)
        thread.start()
        with pytest.raises(NatsError, match=reason):
            check(f"nats://token@127.0.0.1:{listener.getsockname()[1]}")
        thread.join(5)


def test_no_server_is_said_so() -> None:
    with pytest.raises(NatsError, match="no NATS at"):
        check("nats://token@127.0.0.1:1")
