"""Whose address counts: of the socket, or of what a trusted proxy says; never what a client says of itself."""

import ipaddress

import httpx
import pytest

from kit.channel import CLIENT_ADDRESS_HEADER
from services.gateway.clients import Clients, network
from services.gateway.serving import Serving
from tests.gateway.servicers import Record, settings, token

PROXIES = [ipaddress.ip_network(text) for text in ("10.0.0.0/8", "fd00::/8")]


@pytest.mark.parametrize(
    ("peer", "given", "address"),
    [
        ("1.2.3.4", "", "1.2.3.4"),
        ("1.2.3.4", "9.9.9.9", "1.2.3.4"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "9.9.9.9", "9.9.9.9"),
        ("10.0.0.1", "6.6.6.6, 9.9.9.9", "9.9.9.9"),
        ("10.0.0.1", "6.6.6.6, 9.9.9.9, 10.0.0.2", "9.9.9.9"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", "6.6.6.6, unknown, 10.0.0.2", "10.0.0.2"),
        ("10.0.0.1", "6.6.6.6, <script>", "10.0.0.1"),
        ("10.0.0.1", "9.9.9.9:4711", "9.9.9.9"),
        ("10.0.0.1", "[2001:db8::1]:4711", "2001:db8::1"),
        ("10.0.0.1", "2001:DB8:0::1", "2001:db8::1"),
        ("fd00::1", "::ffff:9.9.9.9", "9.9.9.9"),
        ("::ffff:10.0.0.1", "9.9.9.9", "9.9.9.9"),
        ("10.0.0.1", ", ".join(["6.6.6.6", *["10.0.0.2"] * 30]), "10.0.0.2"),
        ("", "9.9.9.9", ""),
    ],
)
def test_the_nearest_that_is_no_proxy_of_ours(peer: str, given: str, address: str) -> None:
    headers = {"x-forwarded-for": given, "forwarded": "for=6.6.6.6"}
    assert Clients(PROXIES, "x-forwarded-for").address(peer, headers) == address


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("for=9.9.9.9", "9.9.9.9"),
        ('by=10.0.0.1;For="[2001:db8::1]:4711";proto=https', "2001:db8::1"),
        ("for=6.6.6.6;proto=http, proto=https; for=9.9.9.9, for=10.0.0.9", "9.9.9.9"),
        ("for=6.6.6.6, for=_hidden", "10.0.0.1"),
    ],
)
def test_forwarded(given: str, address: str) -> None:
    headers = {"forwarded": given, "x-forwarded-for": "6.6.6.6"}
    assert Clients(PROXIES, "forwarded").address("10.0.0.1", headers) == address


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("1.2.3.4", "1.2.3.4"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("::ffff:1.2.3.4", "1.2.3.4"),
        ("", ""),
    ],
)
def test_of_ipv6_the_network_counts(address: str, counted: str) -> None:
    assert network(address) == counted


async def test_a_service_hears_of_it(service_ports: dict[str, int], record: Record, merchant_id: str) -> None:
    async with (
        Serving(settings(service_ports, trusted_proxies=["127.0.0.0/8"])) as serving,
        httpx.AsyncClient() as http,
    ):
        headers = {"authorization": f"Bearer {token(merchant_id)}", "x-forwarded-for": "6.6.6.6, 9.9.9.9"}
        await http.get(f"http://127.0.0.1:{serving.port}/v1/contacts/a", headers=headers)
    assert record.metadata[-1][CLIENT_ADDRESS_HEADER] == "9.9.9.9"


async def test_a_client_is_not_believed(http: httpx.AsyncClient, record: Record) -> None:
    await http.get("/v1/contacts/a", headers={"x-forwarded-for": "9.9.9.9", "forwarded": "for=9.9.9.9"})
    assert record.metadata[-1][CLIENT_ADDRESS_HEADER] == "127.0.0.1"


async def test_limits_count_who_is_behind_the_proxy(service_ports: dict[str, int], record: Record) -> None:
    chosen = settings(service_ports, trusted_proxies=["127.0.0.1/32"], rate_limit_factor=1)
    body = {"email": "a@b.gr", "password": "wrong"}
    async with Serving(chosen) as serving, httpx.AsyncClient(base_url=f"http://127.0.0.1:{serving.port}") as http:
        for made_up in range(50):
            headers = {"x-forwarded-for": f"6.6.6.{made_up}, 2001:db8::{made_up:x}"}
            assert (await http.post("/v1/auth:login", json=body, headers=headers)).status_code == 401
        held_up = await http.post("/v1/auth:login", json=body, headers={"x-forwarded-for": "2001:db8::ffff"})
        assert held_up.status_code == 429
        other = await http.post("/v1/auth:login", json=body, headers={"x-forwarded-for": "2001:db8:0:1::1"})
        assert other.status_code == 401
