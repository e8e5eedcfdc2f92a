"""What has to hold at the end of every run, held against the provider's own record.

What reached us is proven by an id of the provider; so the rows with an id are those that are captured, no more and no
less, and every one of them is in the provider's record for the same phone. Where the provider reports, a lost answer is
no excuse, since a report names our own id: all that it accepted is captured. Where it is silent, what it accepted and
we have no id for can only be a text whose answer was lost: it stands as EXPIRED, and was released. It is never
rejected, skipped, queued or sent again.
"""

import time
from collections import Counter
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx
import orjson

from services.wallet.store.audit import RECOUNT
from tests.crash.runs import Run
from tests.shop import Shop

if TYPE_CHECKING:
    from tests.crash.arena import Arena

STATES = ("accepted", "delivered", "failed", "rejected", "expired", "unknown")
START_CREDITS = 1_000_000
FINAL_STATES = {"DELIVERED": "Delivered", "FAILED": "Failure"}
APPLY_SECONDS_MAX = 20.0
APPLY_TIME = timedelta(seconds=3)


def unfinished(arena: "Arena", campaign: str) -> list[str]:
    """What is still on its way; after a while there must be nothing."""
    queries = {
        "open attempts": ("sender", "SELECT 1 AS one FROM attempts WHERE state = 'OPEN' AND campaign_id = %(id)s"),
        "open waits": ("sender", "SELECT 1 AS one FROM attempts WHERE close_time IS NULL AND finish_time IS NULL"),
        "batches": ("sender", "SELECT 1 AS one FROM batches WHERE state <> 'DONE' AND campaign_id = %(id)s"),
        "frozen batches": ("campaigns", "SELECT 1 AS one FROM batches WHERE state <> 'DONE' AND campaign_id = %(id)s"),
        "settlements": ("sender", "SELECT 1 AS one FROM settlements WHERE hold_id = %(id)s"),
        "outbox of the sender": ("sender", "SELECT 1 AS one FROM outbox"),
        "unapplied webhooks": ("sender", "SELECT 1 AS one FROM webhooks WHERE apply_time IS NULL"),
        "open holds": ("wallet", "SELECT 1 AS one FROM holds WHERE id = %(id)s AND state <> 'CLOSED'"),
        "dead letters of the sender": ("sender", "SELECT 1 AS one FROM dead_letters"),
        "dead letters of campaigns": ("campaigns", "SELECT 1 AS one FROM dead_letters"),
    }
    found = {name: len(arena.rows(service, query, id=campaign)) for name, (service, query) in queries.items()}
    # Whoever found nobody at home for long posts again in a while; until then a report is not late.
    found["reports of the provider"] = arena.provider.summary()["reports"]["pending"]
    return [f"{count} {name} are left" for name, count in found.items() if count]


def contradict(arena: "Arena", campaign: str) -> None:
    """The provider says, twice, that what was delivered has failed: nothing may move. (A better word after it would
    heal what the worse one broke.)
    """
    query = "SELECT provider_message_id AS id, state FROM messages WHERE campaign_id = %(id)s AND state = 'DELIVERED'"
    delivered = [row["id"] for row in arena.rows("sender", query, id=campaign)]
    if not delivered:
        return
    arena.report([{"messageId": id, "deliveryStatus": "Failure"} for id in [*delivered, *delivered]])
    deadline = time.monotonic() + APPLY_SECONDS_MAX
    while arena.rows("sender", "SELECT 1 AS one FROM webhooks WHERE apply_time IS NULL LIMIT 1"):
        assert time.monotonic() < deadline, "reports are not applied"
        time.sleep(0.1)


class Books:
    """Everything that is written down about one campaign that is over."""

    def __init__(self, arena: "Arena", shop: Shop, campaign: str) -> None:
        self.messages = arena.rows("sender", "SELECT * FROM messages WHERE campaign_id = %(id)s", id=campaign)
        (self.tally,) = arena.rows("sender", "SELECT * FROM tallies WHERE campaign_id = %(id)s", id=campaign)
        (self.hold,) = arena.rows("wallet", "SELECT * FROM holds WHERE id = %(id)s", id=campaign)
        merchant = self.tally["merchant_id"]
        (self.wallet,) = arena.rows("wallet", "SELECT * FROM wallets WHERE merchant_id = %(id)s", id=merchant)
        self.discrepancies = arena.rows("wallet", f"{RECOUNT.text.rstrip()} AS wrong")[0]["wrong"]
        late = "SELECT id FROM attempts WHERE campaign_id = %(id)s AND detail = 'late'"
        self.late = arena.rows("sender", late, id=campaign)
        self.posted = _posted(arena)
        self.report = shop.report(campaign)
        self.summary = arena.provider.summary()
        self.accepted = _accepted(arena, shop)

    def figures(self) -> dict[str, int]:
        known = [row for row in self.messages if row["provider_message_id"]]
        accepted = sum(map(len, self.accepted.values()))
        return {"accepted": accepted, "captured": len(known), "never known": accepted - len(known)}

    def violations(self, run: Run) -> list[str]:
        checks = {
            "accepted twice": self._doubled(),
            "captured, not accepted": self._unfounded(),
            "accepted, not captured": self._lost(run),
            "not as reported": self._misreported(run),
            "recipients without exactly one row": self._unbooked(),
            "given up under a living sender": [] if run.may_leave_unknowns else self.late,
            "unknown without a cause": [] if run.may_leave_unknowns else self._without_id("EXPIRED"),
            "rejected without a cause": [] if run.may_reject else self._without_id("REJECTED"),
            "skipped": self._without_id("SKIPPED"),
        }
        found = [f"{name}: {len(rows)}, such as {rows[0]}" for name, rows in checks.items() if rows]
        return found + self._wrong_sums()

    def _doubled(self) -> list[Any]:
        doubled = [phone for phone, texts in self.accepted.items() if len(texts) > 1]
        return doubled + list(self.summary["sample"])

    def _unfounded(self) -> list[Any]:
        known = {(phone, text["messageId"]) for phone, texts in self.accepted.items() for text in texts}
        ours = {(row["to"], row["provider_message_id"]) for row in self.messages if row["provider_message_id"]}
        return sorted(ours - known)

    def _lost(self, run: Run) -> list[Any]:
        """Accepted, and neither captured nor ended as what nobody could know. A report is evidence: it names our id."""
        rows = {row["to"]: row for row in self.messages if not row["provider_message_id"]}
        lost = []
        for phone, texts in self.accepted.items():
            if texts and phone in rows:
                row = rows[phone]
                excused = row["state"] == "EXPIRED" and self._came_too_late(row, texts[0]["messageId"], run)
                lost += [] if excused else [(phone, row["state"], row["error"])]
        return lost

    def _misreported(self, run: Run) -> list[Any]:
        """The last word is the provider's, and where every text is reported none is left waiting until it expires."""
        said = {text["messageId"]: text["deliveryStatus"] for texts in self.accepted.values() for text in texts}
        wrong = []
        for row in self.messages:
            id, state = row["provider_message_id"], row["state"]
            if not id or (state == "EXPIRED" and self._came_too_late(row, id, run)):
                continue
            if said.get(id) != FINAL_STATES.get(state):
                wrong.append((row["to"], state, said.get(id)))
        return wrong

    def _came_too_late(self, row: dict[str, Any], id: str, run: Run) -> bool:
        """Whether the report reached us when the wait had ended; who posts it may have found nobody at home before."""
        posted = self.posted.get(id)
        return not run.reports_all or (posted is not None and posted > row["finish_time"] - APPLY_TIME)

    def _unbooked(self) -> list[Any]:
        counts = Counter(row["to"] for row in self.messages)
        return [phone for phone in self.accepted if counts[phone] != 1]

    def _without_id(self, state: str) -> list[Any]:
        return [row["to"] for row in self.messages if row["state"] == state and not row["provider_message_id"]]

    def _wrong_sums(self) -> list[str]:
        recount = Counter(row["state"].lower() for row in self.messages)
        captured = sum(row["credits"] for row in self.messages if row["provider_message_id"])
        counts, credits = self.report["counts"], self.report["credits"]
        sums = {
            "state": (self.report["state"], "COMPLETED"),
            "tally": ({state: self.tally[state] for state in STATES}, {state: recount[state] for state in STATES}),
            "report": ({state: counts[state] for state in STATES}, {state: recount[state] for state in STATES}),
            "recipients": (counts["targeted"], len(self.accepted)),
            "waiting": (recount["accepted"] + recount["unknown"] + counts["queued"], 0),
            "captured by the tally": (self.tally["credits_captured"], captured),
            "captured by the report": (credits["captured"], captured),
            "captured of the hold": (self.hold["captured"], captured),
            "released of the hold": (self.hold["released"], self.hold["amount"] - captured),
            "price": (self.hold["amount"], sum(row["credits"] for row in self.messages)),
            "spent": (self.wallet["spent"], captured),
            "held": (self.wallet["held"], 0),
            "available": (self.wallet["available"], START_CREDITS - captured),
            "discrepancies of the ledger": (self.discrepancies, 0),
        }
        return [f"{name}: {is_now}, should be {ought}" for name, (is_now, ought) in sums.items() if is_now != ought]


def _accepted(arena: "Arena", shop: Shop) -> dict[str, list[dict[str, Any]]]:
    """What the provider has accepted for each of the merchant's contacts."""
    url = f"http://{arena.mesh.wiring.address('mitto')}/_stand-in/accepted"
    with httpx.Client(timeout=30) as client:
        return {phone: client.get(url, params={"destination": phone}).json()["messages"] for phone in shop.phones}


def _posted(arena: "Arena") -> dict[str, datetime]:
    """When each report was first stored."""
    posted: dict[str, datetime] = {}
    for row in arena.rows("sender", "SELECT body, create_time FROM webhooks WHERE kind = 'dlr' ORDER BY id"):
        for item in orjson.loads(row["body"]):
            posted.setdefault(item["messageId"], row["create_time"])
    return posted
