"""A customer answers: from the provider through the gateway, the sender and contacts, back to the next campaign."""

import time

import httpx
import pytest

from deploy.local.mesh import Mesh
from tests.shop import Oracle, Shop

pytestmark = [pytest.mark.xdist_group("e2e"), pytest.mark.timeout(240)]
WAIT_SECONDS = 30.0


def customer_says(mesh: Mesh, phone: str, words: str) -> None:
    """As Mitto passes it on: no plus."""
    text = {"from": phone.removeprefix("+"), "to": "306999999999", "text": words}
    assert httpx.post(f"http://{mesh.wiring.address('mitto')}/_stand-in/inbound", json=text, timeout=10).is_success


def subscribed(shop: Shop, count: int) -> None:
    """Waits until so many are."""
    deadline = time.monotonic() + WAIT_SECONDS
    while len(shop.call("GET", "/v1/contacts", params={"subscription": "SUBSCRIBED"})["contacts"]) != count:
        assert time.monotonic() < deadline, shop.call("GET", "/v1/inbound")
        time.sleep(0.1)


def test_a_stop_ends_the_texts_of_the_shop_that_sent_them_and_a_start_brings_them_back(
    running_mesh: Mesh, shop: Shop, oracle: Oracle
) -> None:
    shop.bring(3, first=56_000_000)
    neighbour = Shop(running_mesh)
    neighbour.bring(3, first=56_000_000)
    first = shop.campaign()
    shop.verb(first, "send")
    shop.closed(first)
    for words, left in (("Στόπ", 2), ("ΝΑΙ", 3), ("«STOP»", 2)):
        customer_says(running_mesh, shop.phones[0], words)
        subscribed(shop, left)
    customer_says(running_mesh, shop.phones[1], "σταματήστε")
    deadline = time.monotonic() + WAIT_SECONDS
    while not (unclear := shop.call("GET", "/v1/inbound", params={"state": "REVIEW"})["inbound"]):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    shop.call("POST", f"/v1/inbound/{unclear[0]['id']}:resolve", json={"optOut": True})
    subscribed(shop, 1)
    second = shop.campaign("Again, {{first_name}}")
    shop.verb(second, "send")
    assert shop.closed(second)["counts"]["targeted"] == 1
    assert oracle.summary()["accepted"] == 4
    # The neighbour has not texted them.
    subscribed(neighbour, 3)
    assert neighbour.call("GET", "/v1/inbound")["inbound"] == []
    kinds = [text["kind"] for text in shop.call("GET", "/v1/inbound")["inbound"]]
    assert kinds == ["UNCLEAR", "STOP", "START", "STOP"]
    neighbour.http.close()
