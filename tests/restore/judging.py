"""What has to hold after a restore, judged by the provider's and Stripe's own records."""

from typing import Any

import httpx

from tests.restore.world import BOUGHT, STRANGER, World
from tests.waiting import until

ENDED_SECONDS = 90.0
FRESH_TEXT = "Καλώς ήρθατε πάλι!"


def settled(world: World) -> dict[str, Any]:
    """What the cancelled campaign has cost, once its books are closed and nothing is held."""
    report = world.large.closed(world.campaign, ENDED_SECONDS)
    wallets = (world.wallet, lambda: world.small.call("GET", "/v1/wallet"))
    until(lambda: not any(wallet()["held"] for wallet in wallets), ENDED_SECONDS, "credits are still held")
    return dict(report["credits"])


def violations(world: World, report: dict[str, Any], fresh: str, audit: dict[str, Any]) -> list[str]:
    """Of what was promised; `fresh` is a campaign that was sent afterwards, `audit` the count of the ledger."""
    campaign = world.large.call("GET", f"/v1/campaigns/{world.campaign}")
    scheduled = world.small.call("GET", f"/v1/campaigns/{world.scheduled}")
    wallet, counts = world.wallet(), report["counts"]
    fresh_report = world.large.report(fresh)
    spent = report["credits"]["captured"] + fresh_report["credits"]["captured"]
    freshly = {phone: _fresh(world, phone) for phone in world.large.phones}
    left = [*world.opted_out, world.erased]
    facts = {
        "nobody was texted twice": world.provider.summary()["doubled"] == 0,
        "no phone got the campaign twice": all(_olds(world, phone) <= 1 for phone in world.large.phones),
        "the scheduled campaign went out once": all(len(world.texts(phone)) == 1 for phone in world.small.phones),
        "the single text went out once": len(world.texts(STRANGER)) == 1,
        "the campaign is cancelled and says why": (campaign["state"], campaign["failure"]) == ("CANCELLED", "RESTORED"),
        "the missed start is a draft and says when": scheduled["state"] == "DRAFT" and "missedTime" in scheduled,
        "only what was accepted by then is charged": report["credits"]["captured"] <= world.accepted_then,
        "every recipient has an outcome": counts["queued"] == counts["accepted"] == counts["unknown"] == 0,
        "what was bought is credited once": wallet["purchased"] == sum(BOUGHT),
        "the wallet has spent what was captured": wallet["spent"] == spent,
        "nothing is held": wallet["held"] == 0,
        "the ledger agrees with itself": int(audit["discrepancies"]) == 0,
        "every opt-out holds": not any(map(world.is_textable, world.opted_out)),
        "who was erased is gone": not world.contact(world.erased),
        "nobody who left got the new campaign": not any(freshly[phone] for phone in left),
        "everybody else got it, once": all(count == 1 for phone, count in freshly.items() if phone not in left),
        "the new campaign is complete": fresh_report["final"],
        "a forgotten link leads to nobody else": httpx.get(f"{world.mesh.url}/u/{world.forgotten_code}").status_code
        == 404,
    }
    return [fact for fact, holds in facts.items() if not holds]


def _fresh(world: World, phone: str) -> int:
    return sum(FRESH_TEXT in text["text"] for text in world.texts(phone))


def _olds(world: World, phone: str) -> int:
    return len(world.texts(phone)) - _fresh(world, phone)
