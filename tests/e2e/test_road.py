"""One campaign through the whole mesh, as processes, over HTTP: priced, sent, reported, closed; and interrupted."""

import signal
import time

import httpx
import orjson
import pytest

from deploy.local.mesh import Mesh
from tests.shop import Oracle, Shop

pytestmark = [pytest.mark.xdist_group("e2e"), pytest.mark.timeout(240)]


def test_what_was_quoted_is_held_and_what_was_accepted_is_captured(shop: Shop, oracle: Oracle) -> None:
    shop.bring(1000)
    campaign = shop.campaign()
    quote = shop.verb(campaign, "quote")
    assert (quote["recipients"], quote["affordable"]) == (1000, True)
    shop.verb(campaign, "send")
    report = shop.closed(campaign)
    assert report["state"] == "COMPLETED"
    assert report["credits"] == {"held": quote["credits"], "captured": quote["credits"], "released": 0}
    assert report["counts"]["delivered"] + report["counts"]["failed"] == 1000
    summary = oracle.summary()
    assert (summary["accepted"], summary["distinctDestinations"], summary["doubled"]) == (1000, 1000, 0)
    wallet = shop.call("GET", "/v1/wallet")
    assert wallet["available"] == 1_000_000 - quote["credits"]
    assert (wallet["held"], wallet["spent"]) == (0, quote["credits"])
    message = shop.call("GET", "/v1/messages", params={"campaignId": campaign, "pageSize": 1})["messages"][0]
    assert shop.call("GET", f"/v1/messages/{message['id']}")["text"].startswith("Γεια σου Μαρία!")


def test_the_progress_streams_and_ends_with_the_closed_books(shop: Shop) -> None:
    shop.bring(500)
    campaign = shop.campaign()
    shop.verb(campaign, "send")
    with shop.http.stream("GET", f"/v1/campaigns/{campaign}:watch") as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        events = [orjson.loads(line[6:]) for line in answer.iter_lines() if line.startswith("data: ")]
    assert events[-1]["report"]["final"]
    assert not any(event["report"]["final"] for event in events[:-1])


def test_whoever_opts_out_by_the_link_is_not_texted_again(shop: Shop, oracle: Oracle) -> None:
    shop.bring(3, first=55_000_000)
    first = shop.campaign()
    shop.verb(first, "send")
    shop.closed(first)
    messages = shop.call("GET", "/v1/messages", params={"campaignId": first})["messages"]
    leaver = shop.call("GET", f"/v1/messages/{messages[0]['id']}")
    link = leaver["text"].split()[-1]
    assert "form" in httpx.get(link).text
    assert len(shop.call("GET", "/v1/contacts", params={"subscription": "SUBSCRIBED"})["contacts"]) == 3
    for _ in range(2):
        assert httpx.post(link).status_code == 200
    gone = shop.call("GET", "/v1/contacts", params={"subscription": "UNSUBSCRIBED"})["contacts"]
    assert [contact["phone"] for contact in gone] == [leaver["to"]]
    second = shop.campaign("Again, {{first_name}}")
    shop.verb(second, "send")
    assert shop.closed(second)["counts"]["targeted"] == 2
    assert oracle.summary()["accepted"] == 5


def test_a_pause_holds_the_rest_and_a_resume_sends_it_once(shop: Shop, oracle: Oracle) -> None:
    oracle.behave(latencyMs=300)
    shop.bring(4000)
    campaign = shop.campaign()
    shop.verb(campaign, "send")
    shop.submitted(campaign, 250)
    shop.verb(campaign, "pause")
    time.sleep(1.5)
    held = oracle.summary()["accepted"]
    time.sleep(1.5)
    assert oracle.summary()["accepted"] == held < 4000
    assert shop.report(campaign)["state"] == "PAUSED"
    shop.verb(campaign, "resume")
    assert shop.closed(campaign)["state"] == "COMPLETED"
    summary = oracle.summary()
    assert (summary["accepted"], summary["doubled"]) == (4000, 0)


def test_a_cancel_skips_the_rest_and_releases_its_credits(shop: Shop, oracle: Oracle) -> None:
    oracle.behave(latencyMs=300)
    shop.bring(4000)
    campaign = shop.campaign()
    shop.verb(campaign, "send")
    shop.submitted(campaign, 250)
    shop.verb(campaign, "cancel")
    report = shop.closed(campaign)
    accepted = oracle.summary()["accepted"]
    assert report["state"] == "CANCELLED"
    assert report["counts"]["skipped"] == {"cancelled": 4000 - accepted}
    assert report["credits"]["captured"] == accepted * report["credits"]["held"] // 4000
    assert 0 < accepted < 4000
    refused = shop.http.post(f"/v1/campaigns/{campaign}:resume", json={}).json()["error"]
    assert refused["details"][0]["reason"] == "WRONG_STATE"


VICTIMS = ["sender", "campaigns", "contacts", "wallet", "accounts", "gateway", "nats", "postgres"]


@pytest.mark.parametrize("victim", VICTIMS)
def test_kill_9_of_any_one_in_the_middle_loses_and_doubles_nothing(
    victim: str, running_mesh: Mesh, shop: Shop, oracle: Oracle
) -> None:
    oracle.behave(latencyMs=150)
    shop.bring(5000)
    campaign = shop.campaign()
    shop.verb(campaign, "send")
    shop.submitted(campaign, 1000)
    running_mesh.kill(victim, signal.SIGKILL)
    report = shop.closed(campaign)
    summary = oracle.summary()
    counts = report["counts"]
    assert summary["doubled"] == 0
    assert report["state"] == "COMPLETED"
    # What a killed sender had in hand is unknown, and expires; it may or may not have been accepted.
    reached = counts["delivered"] + counts["failed"]
    assert reached + counts["expired"] == 5000
    assert reached <= summary["accepted"] <= reached + counts["expired"]
    assert report["credits"]["captured"] >= reached
    assert counts["expired"] == 0 or victim in ("sender", "postgres")


def test_a_wiped_stream_loses_and_doubles_nothing(running_mesh: Mesh, shop: Shop, oracle: Oracle) -> None:
    oracle.behave(latencyMs=150)
    shop.bring(5000)
    campaign = shop.campaign()
    shop.verb(campaign, "send")
    shop.submitted(campaign, 1000)
    running_mesh.wipe_stream()
    report = shop.closed(campaign)
    summary = oracle.summary()
    assert (summary["accepted"], summary["doubled"]) == (5000, 0)
    assert report["counts"]["delivered"] + report["counts"]["failed"] == 5000
