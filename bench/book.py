"""The address book: import through the gateway, and the audience out of contacts."""

import time
from collections.abc import Iterator

from astronote.contacts.v1 import contacts_pb2
from astronote.contacts.v1.audience_pb2 import Audience
from astronote.contacts.v1.contacts_pb2_grpc import AudiencesServiceStub
from bench.arena import Arena
from bench.figures import Figure
from kit.channel import Peer


def run(arena: Arena, rows: int) -> Iterator[Figure]:
    shop = arena.shop()
    seconds = arena.bring(shop, rows)
    yield Figure(f"import of {rows:,} rows", rows / seconds, "rows/s", 20_000)
    streamed = arena.run(_members_per_second(arena, shop.session["merchant"]["id"], rows))
    yield Figure(f"StreamAudience of {rows:,}", streamed, "members/s", 150_000)


async def _members_per_second(arena: Arena, merchant_id: str, members: int) -> float:
    peer = Peer(contacts_pb2.DESCRIPTOR, arena.mesh.wiring.address("contacts"), arena.identity("campaigns"))
    request = contacts_pb2.StreamAudienceRequest(
        audience=Audience(all=True), fields=["first_name", "attributes.city"], page_size=5000
    )
    began, count = time.perf_counter(), 0
    pages = AudiencesServiceStub(peer.channel).StreamAudience(request, metadata=peer.metadata(merchant_id), timeout=300)
    async for page in pages:
        count += len(page.members)
    seconds = time.perf_counter() - began
    await peer.channel.close()
    assert count == members
    return count / seconds
