"""Double opt-in from a form at the till to the shop's first campaign: over HTTP, with the text that the phone gets."""

import re
import time

import httpx

from deploy.local.mesh import Mesh
from tests.shop import Shop

PHONE = "+306977000111"
WAIT_SECONDS = 30.0


def test_somebody_signs_up_at_the_till_and_confirms_by_the_text(shop: Shop, running_mesh: Mesh) -> None:
    form = shop.call("POST", "/v1/forms", json={"title": "Καφέ Νότος", "wording": "Θέλω SMS", "doubleOptIn": True})
    address = form["url"].partition("/f/")[2]
    printed = shop.http.get(f"/v1/forms/{form['id']}:qr?format=PNG")
    assert (printed.headers["content-type"], printed.content[:4]) == ("image/png", b"\x89PNG")
    with httpx.Client(base_url=running_mesh.url, timeout=20) as visitor:
        page = visitor.get(f"/f/{address}")
        assert (page.status_code, "Θέλω SMS" in page.text, "<script" in page.text) == (200, True, False)
        answer = visitor.post(f"/f/{address}", data={"phone": "697 700 0111", "agreed": "yes", "first_name": "Άννα"})
        assert (answer.status_code, "SMS" in answer.text) == (200, True)
        assert shop.call("GET", "/v1/contacts").get("contacts", []) == []
        accepted = f"http://{running_mesh.wiring.address('mitto')}/_stand-in/accepted"
        deadline, link = time.monotonic() + WAIT_SECONDS, None
        while link is None:
            assert time.monotonic() < deadline
            link = re.search(r"(/c/[A-Za-z0-9_-]{11})", httpx.get(accepted, params={"destination": PHONE}).text)
            time.sleep(0.1)
        assert visitor.get(link[1]).status_code == 200
        assert shop.call("GET", "/v1/contacts").get("contacts", []) == []
        assert visitor.post(link[1]).status_code == 200
        assert visitor.get("/c/AAAAAAAAAAA").status_code == 404
    (person,) = shop.call("GET", "/v1/contacts")["contacts"]
    assert (person["phone"], person["firstName"], person["subscription"]) == (PHONE, "Άννα", "SUBSCRIBED")
    consents = shop.call("GET", f"/v1/contacts/{person['id']}/consents")["consents"]
    assert [each["event"] for each in consents] == ["REQUESTED", "GRANTED"]
    assert consents[1]["ipAddress"] == "127.0.0.1"
    assert consents[1]["userAgent"].startswith("python-httpx")
    campaign = shop.campaign()
    shop.verb(campaign, "send")
    assert shop.closed(campaign)["counts"]["delivered"] == 1
