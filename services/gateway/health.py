"""Whether the mesh behind the gateway can be reached."""

import asyncio
from collections.abc import Mapping

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from kit.channel import Peer

SERVING = "SERVING"


async def states(peers: Mapping[str, Peer], seconds: float) -> dict[str, str]:
    """What each service says of itself: `SERVING`, `NOT_SERVING`, or the code of why it did not say."""
    found = await asyncio.gather(*(_state(peer, seconds) for peer in peers.values()))
    return dict(zip(peers, found, strict=True))


async def _state(peer: Peer, seconds: float) -> str:
    stub = health_pb2_grpc.HealthStub(peer.channel)
    try:
        answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=seconds)
    except grpc.aio.AioRpcError as error:
        return str(error.code().name)
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))
