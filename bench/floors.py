"""The machine's own limits, which figures are held against: a bare COPY, a bare web server, a bare gRPC call."""

import asyncio
import itertools
import subprocess
import sys
import time
from functools import partial

from astronote.contacts.v1 import contacts_pb2
from astronote.contacts.v1.contacts_pb2_grpc import ContactsServiceStub
from bench.arena import CONNECTIONS, Arena
from bench.http_load import load, request
from deploy.local import ports
from kit.channel import Metadata, Peer
from tests.waiting import until

SECONDS = 4.0
ROWS_A_TRANSACTION, ROWS_MAX = 5000, 100_000
HELLO = """
import sys, uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
async def hello(request):
    return JSONResponse({"hello": "world"})
app = Starlette(routes=[Route("/", hello)])
uvicorn.run(app, port=int(sys.argv[1]), access_log=False, log_level="error", loop="uvloop", http="httptools")
"""


def hellos_per_second(arena: Arena) -> float:
    """Starlette on uvicorn, one process."""
    port = ports.free()
    server = subprocess.Popen([sys.executable, "-c", HELLO, str(port)])  # noqa: S603 (our own text)
    try:
        until(partial(ports.answers, port), 30)
        requests = itertools.repeat(request("GET", "/", {}))
        return arena.run(load(f"127.0.0.1:{port}", requests, CONNECTIONS, SECONDS)).per_second
    finally:
        server.kill()
        server.wait(10)


def contacts_per_second(arena: Arena, merchant_id: str, contact_id: str) -> float:
    """GetContact over gRPC, from one process to contacts, so many at once."""

    async def measure() -> float:
        peer = Peer(contacts_pb2.DESCRIPTOR, arena.mesh.wiring.address("contacts"), arena.identity("gateway"))
        stub, counted = ContactsServiceStub(peer.channel), itertools.count()
        end = time.perf_counter() + SECONDS

        async def ask(metadata: Metadata) -> None:
            while time.perf_counter() < end:
                await stub.GetContact(contacts_pb2.GetContactRequest(id=contact_id), metadata=metadata, timeout=5)
                next(counted)

        await asyncio.gather(*(ask(peer.metadata(merchant_id, "merchant")) for _ in range(CONNECTIONS)))
        await peer.channel.close()
        return next(counted) / SECONDS

    return arena.run(measure())


def copied_rows_per_second(arena: Arena, campaign_id: str) -> float:
    """COPY of this campaign's very rows, as many a transaction as a batch has, into an empty copy of their table."""
    query = f"SELECT * FROM messages WHERE campaign_id = '{campaign_id}' ORDER BY id LIMIT {ROWS_MAX}"
    with (
        arena.connection("sender") as connection,
        connection.cursor().copy(f"COPY ({query}) TO STDOUT".encode()) as out,
    ):
        rows = b"".join(out).splitlines(keepends=True)
    with arena.owner("sender") as connection:
        connection.execute("DROP TABLE IF EXISTS bench_messages")
        connection.execute("CREATE TABLE bench_messages (LIKE messages INCLUDING ALL) WITH (fillfactor = 60)")
        began = time.perf_counter()
        for first in range(0, len(rows), ROWS_A_TRANSACTION):
            with connection.cursor().copy(b"COPY bench_messages FROM STDIN") as into:
                into.write(b"".join(rows[first : first + ROWS_A_TRANSACTION]))
        seconds = time.perf_counter() - began
        connection.execute("DROP TABLE bench_messages")
    return len(rows) / seconds
