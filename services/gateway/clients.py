"""Where a request comes from: the socket's address, or what a proxy says that we trust."""

import ipaddress
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TypeAlias

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
# Proxies that a request may have come through; more are not looked at.
HOPS_MAX = 20
REMEMBERED_MAX = 10_000
# RFC 7239: `for="[2001:db8::1]:4711";proto=https`.
FORWARDED_FOR = re.compile(r"(?:^|;)\s*for=\"?([^\";]*)\"?", re.IGNORECASE)


class Clients:
    """`proxies` are the networks of our own proxies, and `header` the one that they write (and no other is believed:
    the client may have sent it).
    """

    def __init__(self, proxies: Sequence[Network], header: str) -> None:
        self._proxies, self._header = tuple(proxies), header
        self._is_proxy = lru_cache(REMEMBERED_MAX)(self._is_in_networks)

    def address(self, peer: str, headers: Mapping[str, str]) -> str:
        """The nearest address that is none of our proxies: everything to the left of it may be made up."""
        if not self._proxies or not self._is_proxy(peer):
            return peer
        nearest = peer
        hops = headers.get(self._header, "").split(",")
        for hop in reversed(hops[-HOPS_MAX:]):
            address = _address(hop)
            if address is None:
                break
            nearest = str(address)
            if not self._is_proxy(nearest):
                break
        return nearest

    def _is_in_networks(self, text: str) -> bool:
        address = _address(text)
        return address is not None and any(address in network for network in self._proxies)


@lru_cache(REMEMBERED_MAX)
def network(address: str) -> str:
    """Whom a limit counts: of IPv6 the /64, since whoever has one address there has them all."""
    found = _address(address) if ":" in address else None
    if found is None or found.version == 4:
        return str(found or address)
    return str(ipaddress.ip_network((found, 64), strict=False))


def _address(text: str) -> Address | None:
    """Of `1.2.3.4`, `1.2.3.4:80`, `::1`, `[::1]:80` or an element of `Forwarded`; None where it names none."""
    if found := FORWARDED_FOR.search(text):
        text = found[1]
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
