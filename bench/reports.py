"""Delivery reports: one a request, and arrays of 100, from the provider's post until they are applied."""

import json
import time
from collections.abc import Iterator

from bench.arena import Arena
from bench.figures import Figure
from bench.http_load import Load, request
from tests.waiting import until

MESSAGES = 100_000
ARRAY = 100
SHARE_ALONE = 0.15
APPLIED_SECONDS = 2.0


def run(arena: Arena) -> Iterator[Figure]:
    arena.provider.behave(reports={"silent": 1, "delivered": 0, "failed": 0})
    ids = _accepted(arena)
    alone = int(len(ids) * SHARE_ALONE)
    single = _post(arena, [[id] for id in ids[:alone]])
    yield Figure("delivery reports, one a request", single.per_second, "/s", 1500)
    yield Figure("… and applied after", _applied_seconds(arena), "s", APPLIED_SECONDS, more_is_better=False)
    pages = [ids[at : at + ARRAY] for at in range(alone, len(ids), ARRAY)]
    arrays = _post(arena, pages)
    yield Figure(f"delivery reports in arrays of {ARRAY}", arrays.per_second * ARRAY, "/s", 20_000)
    yield Figure("… and applied after ", _applied_seconds(arena), "s", APPLIED_SECONDS, more_is_better=False)


def _accepted(arena: Arena) -> list[str]:
    """The provider's ids of a campaign that it has said nothing about."""
    shop = arena.shop(MESSAGES)
    campaign = shop.campaign()
    shop.verb(campaign, "send")
    until(lambda: shop.report(campaign)["counts"]["accepted"] == MESSAGES, 120)
    with arena.connection("sender") as connection:
        query = "SELECT provider_message_id FROM messages WHERE campaign_id = %s ORDER BY md5(provider_message_id)"
        return [row[0] for row in connection.execute(query, [campaign])]


def _post(arena: Arena, pages: list[list[str]]) -> Load:
    headers = {"x-webhook-secret": arena.mesh.wiring.webhook_secret(), "content-type": "application/json"}
    bodies = [
        json.dumps(
            [{"messageId": id, "deliveryStatus": "Delivered", "updatedAt": "2030-01-01T00:00:00Z"} for id in page]
        )
        for page in pages
    ]
    return arena.post(request("POST", "/webhooks/mitto/dlr", headers, body.encode()) for body in bodies)


def _applied_seconds(arena: Arena) -> float:
    began = time.perf_counter()
    with arena.connection("sender") as connection:
        until(lambda: connection.execute(WAITING).fetchone() == (0,), 60)
    return time.perf_counter() - began


WAITING = "SELECT count(*) FROM webhooks WHERE apply_time IS NULL"
