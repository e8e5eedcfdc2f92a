"""The gateway as a process: metrics on a port of their own, not ready before it goes, and nothing in hand is lost."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest

from deploy.local import ports
from tests.gateway.servicers import Record, settings, token


@dataclass
class Gateway:
    process: asyncio.subprocess.Process
    base: str
    metrics: str


@pytest.fixture
async def gateway(service_ports: dict[str, int], record: Record) -> AsyncIterator[Gateway]:
    chosen = settings(service_ports, drain_delay_seconds=0.5)
    port, metrics_port = ports.free(), ports.free()
    environment = {
        **{f"{name}_ADDRESS".upper(): f"127.0.0.1:{number}" for name, number in service_ports.items()},
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "METRICS_ADDRESS": f"127.0.0.1:{metrics_port}",
        "MESH_PRIVATE_KEY": chosen.mesh_private_key.get_secret_value(),
        "MESH_PUBLIC_KEYS": json.dumps(chosen.mesh_public_keys),
        "DRAIN_DELAY_SECONDS": "0.5",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.gateway", env=environment, stderr=asyncio.subprocess.DEVNULL
    )
    found = Gateway(process, f"http://127.0.0.1:{port}", f"http://127.0.0.1:{metrics_port}/metrics")
    async with asyncio.timeout(60), httpx.AsyncClient(trust_env=False) as client:
        while not await answers(client, f"{found.base}/readyz"):
            await asyncio.sleep(0.05)
    yield found
    if process.returncode is None:
        process.kill()
    await process.wait()


async def answers(client: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await client.get(url)).status_code == 200
    except httpx.TransportError:
        return False


async def test_metrics_stand_on_a_port_of_their_own(gateway: Gateway) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        await client.get(f"{gateway.base}/v1/contacts/a")
        assert (await client.get(f"{gateway.base}/metrics")).status_code == 404
        shown = (await client.get(gateway.metrics)).text
    assert 'http_seconds_count{route="GET /v1/contacts/{id}",status="401"} 1.0' in shown
    assert "service_calls_in_hand" in shown


async def test_sigterm_ends_it_when_what_is_in_hand_is_done(gateway: Gateway, record: Record, merchant_id: str) -> None:
    headers = {"authorization": f"Bearer {token(merchant_id)}"}
    async with httpx.AsyncClient(trust_env=False, timeout=20) as client, asyncio.timeout(30):
        slow = asyncio.create_task(client.get(f"{gateway.base}/v1/contacts/slow", headers=headers))
        while not record.requests:
            await asyncio.sleep(0.01)
        gateway.process.send_signal(signal.SIGTERM)
        while await answers(client, f"{gateway.base}/readyz?own"):
            await asyncio.sleep(0.01)
        last = await client.get(f"{gateway.base}/healthz")
        assert last.headers["connection"] == "close"
        assert not slow.done()
        record.hangs.set()
        assert (await slow).status_code == 200
        assert await gateway.process.wait() == 0
