"""Two of a kind against one, in one run: senders with a campaign, gateways with requests.

Where the cores are full with one of each a second adds nothing; docs/performance.md says what a core carries.
"""

import asyncio
import itertools
from collections.abc import Iterator
from dataclasses import replace

from bench.arena import CONNECTIONS, LOAD_SECONDS, Arena
from bench.campaign import send
from bench.figures import Figure
from bench.http_load import Load, load, request
from deploy.local.members import MEMBERS, Kind, Member

CAMPAIGN = 100_000
SENDER, GATEWAY = (next(member for member in MEMBERS if member.name == name) for name in ("sender", "gateway"))


def members() -> tuple[Member, ...]:
    """The mesh, and a second sender and gateway."""
    gateway = replace(
        GATEWAY,
        name="gateway-2",
        service="gateway",
        port=("PORT_2", 0),
        settings=lambda wiring: {**GATEWAY.settings(wiring), "PORT": str(wiring.ports["gateway-2"])},
    )
    return (*MEMBERS, replace(SENDER, name="sender-2", service="sender"), gateway)


def run(arena: Arena) -> Iterator[Figure]:
    shop = arena.shop(CAMPAIGN)
    found = shop.call("GET", "/v1/contacts", params={"pageSize": 500})["contacts"]
    token = {"authorization": f"Bearer {shop.session['accessToken']}"}
    requests = itertools.cycle([request("GET", f"/v1/contacts/{contact['id']}", token) for contact in found])
    send(shop, CAMPAIGN)  # so that neither of the two that are measured is the first
    for count in (2, 1):
        if count == 1:
            for name in ("sender-2", "gateway-2"):
                arena.mesh.children[name].stop()
        _, seconds, _ = send(shop, CAMPAIGN)
        yield Figure(f"campaign of {CAMPAIGN:,} with {_senders(count)}", CAMPAIGN / seconds, "recipients/s")
        names = [member.name for member in members() if member.kind == Kind.GATEWAY][:count]
        got = arena.run(_spread(requests, [arena.mesh.wiring.address(name) for name in names]))
        yield Figure(f"GET /v1/contacts/{{id}} by {_gateways(count)}", got, "/s")


def _senders(count: int) -> str:
    return "two senders" if count == 2 else "one sender"


def _gateways(count: int) -> str:
    return "two gateways" if count == 2 else "one gateway"


async def _spread(requests: Iterator[bytes], addresses: list[str]) -> float:
    """Requests a second, over as many connections to all of them together as elsewhere to one."""
    share = CONNECTIONS // len(addresses)
    loads: list[Load] = await asyncio.gather(*(load(each, requests, share, LOAD_SECONDS) for each in addresses))
    return sum(each.per_second for each in loads)
