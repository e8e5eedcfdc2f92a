"""A gRPC server with the boundary round every RPC, and the health service that Kubernetes asks."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from kit.channel import MESSAGE_BYTES_MAX
from kit.identity import Identity
from kit.interceptors import Boundary
from kit.tls import Certificates

# For a file that is under way, up or down; other calls are over in a moment.
DRAIN_SECONDS = 30.0

# `{add_XServicer_to_server: servicer}`
Servicers = Mapping[Callable[[Any, Any], None], object]


class Server:
    """`async with Server(...) as server:` serves until the block ends, then drains."""

    def __init__(
        self,
        address: str,
        servicers: Servicers,
        identity: Identity,
        certificates: Certificates | None = None,
        health_address: str = "",
        drain_delay_seconds: float = 0.0,
    ) -> None:
        """`health_address`: where the health service is served as well, alone and in plain text; empty: nowhere."""
        self._drain_delay_seconds = drain_delay_seconds
        self._server = grpc.aio.server(
            interceptors=[Boundary(identity)],
            options=[
                ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
                ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
                # Clients come back round robin, so that new replicas get their share.
                ("grpc.max_connection_age_ms", 300_000),
                ("grpc.max_connection_age_grace_ms", 60_000),
                ("grpc.http2.min_ping_interval_without_data_ms", 30_000),
                ("grpc.so_reuseport", 0),
            ],
        )
        for add, servicer in servicers.items():
            add(servicer, self._server)
        self._health = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        if certificates is None:
            self.port = self._server.add_insecure_port(address)
        else:
            self.port = self._server.add_secure_port(address, certificates.server())
        self._probed = grpc.aio.server()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._probed)
        if health_address:
            self._probed.add_insecure_port(health_address)

    async def __aenter__(self) -> "Server":
        await self._server.start()
        await self._probed.start()
        await self._health.set("", health_pb2.HealthCheckResponse.SERVING)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._health.enter_graceful_shutdown()
        # A call that meets the end of a server is lost: whoever watches our health turns to others before.
        await asyncio.sleep(self._drain_delay_seconds)
        await self._server.stop(DRAIN_SECONDS)
        await self._probed.stop(None)
