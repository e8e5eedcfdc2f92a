"""What one request set going is one trace, over HTTP, gRPC, NATS and to the provider, and its id stands in the logs."""

import secrets
from pathlib import Path

import orjson
import pytest

from deploy.local.mesh import Mesh
from tests.e2e.collector import Collector, Seen
from tests.shop import Shop

pytestmark = [pytest.mark.xdist_group("e2e"), pytest.mark.timeout(240)]

SUBMITTED = "sender POST /api/v1.1/Messages/sendmessagesbulk"
BATCH = "sender_work_astronote_sender_v1_SendBatch_single"
HOLD = "astronote.wallet.v1.WalletService/Hold"


def road(spans: list[Seen], last: str) -> list[str]:
    """From the span that nobody here began to the one that is named, each under the one before."""
    by_id = {span.id: span for span in spans}
    (span,) = [each for each in spans if f"{each.service} {each.name}" == last]
    found = [span]
    while found[0].parent in by_id:
        found.insert(0, by_id[found[0].parent])
    return [f"{each.service} {each.kind} {each.name}" for each in found]


def test_a_text_is_one_trace_from_the_front_door_to_the_provider(
    shop: Shop, collector: Collector, running_mesh: Mesh
) -> None:
    shop.bring(1)
    trace = secrets.token_hex(16)
    headers = {"traceparent": f"00-{trace}-00f067aa0ba902b7-01", "x-request-id": f"test-{trace}"}
    shop.call("POST", "/v1/messages", json={"to": shop.phones[0], "text": "Γεια"}, headers=headers)
    asked = "/astronote.sender.v1.MessagesService/SendMessage"
    # Whoever ends last in each process, so that the rest is there as well.
    last = ("gateway POST /v1/messages", f"sender {asked}", f"wallet /{HOLD}", f"sender {BATCH}", SUBMITTED)
    spans = collector.trace(trace, *last)
    front = ["gateway SERVER POST /v1/messages", f"gateway CLIENT {asked}", f"sender SERVER {asked}"]
    assert road(spans, SUBMITTED) == [*front, f"sender CONSUMER {BATCH}", SUBMITTED.replace(" ", " CLIENT ", 1)]
    assert road(spans, f"wallet /{HOLD}") == [*front, f"sender CLIENT /{HOLD}", f"wallet SERVER /{HOLD}"]
    (first,) = [span for span in spans if span.name == "POST /v1/messages"]
    assert first.parent == "00f067aa0ba902b7"
    assert first.attributes["request_id"] == headers["x-request-id"]
    assert not any(span.failed for span in spans)
    assert not any(shop.phones[0][1:] in str(span) for span in spans)
    for service in ("gateway", "sender", "wallet"):
        lines = logged(running_mesh.run_folder / f"{service}.log", trace)
        assert {"http" if service == "gateway" else "rpc"} <= {line["event"] for line in lines}


def test_a_campaigns_road_is_one_trace_with_its_id(shop: Shop, collector: Collector) -> None:
    shop.bring(3)
    campaign = shop.campaign()
    shop.verb(campaign, "send")
    shop.closed(campaign)
    submitted, prepared = SUBMITTED, "campaigns prepare a campaign"
    tally = "campaigns campaigns_event_astronote_sender_v1_BatchFinished"
    spans = collector.trace(campaign.replace("-", ""), prepared, f"wallet /{HOLD}", submitted, tally)
    assert {"campaigns", "contacts", "wallet", "sender"} <= {span.service for span in spans}


def test_what_is_refused_or_broken_is_told_apart(shop: Shop, collector: Collector) -> None:
    trace = secrets.token_hex(16)
    shop.http.get(f"/v1/campaigns/{secrets.token_hex(4)}", headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"})
    asked = "/astronote.campaigns.v1.CampaignsService/GetCampaign"
    spans = collector.trace(trace, "gateway GET /v1/campaigns/{id}", f"campaigns {asked}")
    assert {span.attributes["code"] for span in spans if span.name == asked} == {"NOT_FOUND"}
    assert not any(span.failed for span in spans)


def logged(file: Path, trace: str) -> list[dict[str, str]]:
    return [orjson.loads(line) for line in file.read_text().splitlines() if trace in line]
