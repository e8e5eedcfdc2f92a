"""The address book: import through the gateway, the audience out of contacts, and what is asked of a full book."""

import time
from collections.abc import Iterator
from typing import Any

from astronote.contacts.v1 import contacts_pb2
from astronote.contacts.v1.audience_pb2 import Audience
from astronote.contacts.v1.contacts_pb2_grpc import AudiencesServiceStub
from bench.arena import Arena
from bench.figures import Figure
from kit.channel import Peer
from tests.shop import Shop

# What is commonly asked of a book; the members are those of `arena.sheet`.
RULES: dict[str, dict[str, Any]] = {
    "women": {"gender": "FEMALE"},
    "women of 25 to 39": {"allOf": [{"gender": "FEMALE"}, {"ageBetween": {"min": 25, "max": 39}}]},
    "a first name": {"field": {"name": "first_name", "op": "EQUALS", "values": ["Μαρία"]}},
    "a city": {"field": {"name": "attributes.city", "op": "EQUALS", "values": ["Βόλος"]}},
}
LISTINGS = {"the newest": {"orderBy": "createTime desc"}, "one by a part of the email": {"q": "c4711@"}}


def run(arena: Arena, rows: int) -> Iterator[Figure]:
    shop = arena.shop()
    seconds = arena.bring(shop, rows)
    yield Figure(f"import of {rows:,} rows", rows / seconds, "rows/s", 20_000)
    streamed = arena.run(_members_per_second(arena, shop.session["merchant"]["id"], rows))
    yield Figure(f"StreamAudience of {rows:,}", streamed, "members/s", 150_000)
    for name, rule in RULES.items():
        counted = _milliseconds(shop, "POST", "/v1/audience:count", json={"rule": rule})
        yield Figure(f"count among {rows:,}: {name}", counted, "ms", 300, more_is_better=False)
    for name, query in LISTINGS.items():
        listed = _milliseconds(shop, "GET", "/v1/contacts", params=query)
        yield Figure(f"page out of {rows:,}: {name}", listed, "ms", 300, more_is_better=False)


def _milliseconds(shop: Shop, method: str, path: str, **asked: Any) -> float:
    """The best of five: the first reads what the others find in memory."""
    found = []
    for _ in range(5):
        began = time.perf_counter()
        shop.call(method, path, **asked)
        found.append((time.perf_counter() - began) * 1000)
    return min(found)


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
