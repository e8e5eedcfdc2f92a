"""What the network of a cluster is to the mesh, for a rolling restart on one machine: names and the gateway's Service.

A service's pods listen on one port at addresses of their own (127.0.x.y). A name is answered with the addresses of
those that are listed, as a headless Service's is; a connection to the gateway's port goes to one of its pods, and stays
with it to its end, as kube-proxy has it. `PODS` names the list, `{"contacts": ["127.0.11.1"]}`, which is read anew each
time.
"""

import asyncio
import json
import os
import random
import socket
import struct
from pathlib import Path
from typing import cast

HEADER_LENGTH, ADDRESS_RECORD = 12, 1
PIECE_BYTES = 64 * 1024


def listed(service: str) -> list[str]:
    pods: list[str] = json.loads(Path(os.environ["PODS"]).read_text()).get(service, [])
    return pods


class Names(asyncio.DatagramProtocol):
    """A name server (RFC 1035) that knows `<service>.mesh` and answers with no time to live."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        end = data.index(b"\0", HEADER_LENGTH) + 5
        service = data[HEADER_LENGTH + 1 :][: data[HEADER_LENGTH]].decode()
        (kind,) = struct.unpack(">H", data[end - 4 : end - 2])
        found = listed(service) if kind == ADDRESS_RECORD else []
        head = data[:2] + struct.pack(">5H", 0x8180, 1, len(found), 0, 0)
        record = struct.pack(">HHHIH", 0xC00C, ADDRESS_RECORD, 1, 0, 4)
        answers = b"".join(record + socket.inet_aton(each) for each in found)
        self._transport.sendto(head + data[HEADER_LENGTH:end] + answers, addr)


async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A connection to one of the gateway's pods."""
    try:
        there_reader, there = await asyncio.open_connection(random.choice(listed("gateway")), PORT)
    except (OSError, IndexError):  # as where nobody listens
        writer.transport.abort()
        return
    await asyncio.gather(_pass_on(reader, there), _pass_on(there_reader, writer))
    there.close()
    writer.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """What one side says to the other, its end too, however it ends."""
    try:
        while piece := await reader.read(PIECE_BYTES):
            writer.write(piece)
            await writer.drain()
        writer.write_eof()
    except OSError:
        writer.transport.abort()


async def main() -> None:
    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(Names, ("127.0.0.1", int(os.environ["NAMES_PORT"])))
    server = await asyncio.start_server(carry, "127.0.0.1", PORT, backlog=1024)
    await server.serve_forever()


PORT = int(os.environ.get("PORT", "0"))

if __name__ == "__main__":
    asyncio.run(main())
