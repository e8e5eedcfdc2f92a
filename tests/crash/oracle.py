"""What has to hold at the end of every run, held against the provider's own record.

What reached us is proven by an id of the provider; so the rows with an id are those that are captured, no more and no
less, and every one of them is in the provider's record for the same phone. Where the provider reports, a lost answer is
no excuse, since a report names our own id: all that it accepted is captured. Where it is silent, what it accepted and
we have no id for can only be a text whose answer was lost: it stands as EXPIRED, and was released. It is never
rejected, skipped, queued or sent again.
"""

import itertools
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx
import orjson

from services.wallet.store.audit import RECOUNT
from tests.crash.runs import TOO_DEAR, Run
from tests.shop import Shop

if TYPE_CHECKING:
    from tests.crash.arena import Arena

#: By phone, in turn: a message, or why there is none.
Answers = Mapping[str, Sequence[dict[str, Any] | str]]
WAITING = "('QUEUED', 'ACCEPTED', 'UNKNOWN')"
INDEX_BITS = 17
# By the time that it is over, each was asked for so often.
ASKED = 3
REFUSAL = "DAILY_CAP_REACHED"
NOT_PAID = REFUSAL.lower()
STATES = ("accepted", "delivered", "failed", "rejected", "expired", "unknown")
START_CREDITS = 1_000_000
FINAL_STATES = {"DELIVERED": "Delivered", "FAILED": "Failure"}
APPLY_SECONDS_MAX = 20.0
APPLY_TIME = timedelta(seconds=3)


def unfinished(arena: "Arena", shop: Shop) -> list[str]:
    """What is still on its way; after a while there must be nothing."""
    queries = {
        "open attempts": ("sender", "SELECT 1 AS one FROM attempts WHERE state = 'OPEN' AND merchant_id = %(id)s"),
        "open waits": ("sender", "SELECT 1 AS one FROM attempts WHERE close_time IS NULL AND finish_time IS NULL"),
        "messages": ("sender", f"SELECT 1 AS one FROM messages WHERE state IN {WAITING} AND merchant_id = %(id)s"),
        "batches": ("sender", "SELECT 1 AS one FROM batches WHERE state <> 'DONE' AND merchant_id = %(id)s"),
        "single texts": ("sender", "SELECT 1 AS one FROM singles WHERE merchant_id = %(id)s"),
        "frozen batches": ("campaigns", "SELECT 1 AS one FROM batches WHERE state <> 'DONE' AND merchant_id = %(id)s"),
        "settlements": ("sender", "SELECT 1 AS one FROM settlements WHERE merchant_id = %(id)s"),
        "outbox of the sender": ("sender", "SELECT 1 AS one FROM outbox"),
        "unapplied webhooks": ("sender", "SELECT 1 AS one FROM webhooks WHERE apply_time IS NULL"),
        "open holds": ("wallet", "SELECT 1 AS one FROM holds WHERE merchant_id = %(id)s AND state <> 'CLOSED'"),
        "dead letters of the sender": ("sender", "SELECT 1 AS one FROM dead_letters"),
        "dead letters of campaigns": ("campaigns", "SELECT 1 AS one FROM dead_letters"),
    }
    found = {name: len(arena.rows(service, query, id=shop.id)) for name, (service, query) in queries.items()}
    # Whoever found nobody at home for long posts again in a while; until then a report is not late.
    found["reports of the provider"] = arena.provider.summary()["reports"]["pending"]
    return [f"{count} {name} are left" for name, count in found.items() if count]


def contradict(arena: "Arena", shop: Shop) -> None:
    """The provider says, twice, that what was delivered has failed: nothing may move. (A better word after it would
    heal what the worse one broke.)
    """
    query = "SELECT provider_message_id AS id, state FROM messages WHERE merchant_id = %(id)s AND state = 'DELIVERED'"
    delivered = [row["id"] for row in arena.rows("sender", query, id=shop.id)]
    if not delivered:
        return
    arena.report([{"messageId": id, "deliveryStatus": "Failure"} for id in [*delivered, *delivered]])
    deadline = time.monotonic() + APPLY_SECONDS_MAX
    while arena.rows("sender", "SELECT 1 AS one FROM webhooks WHERE apply_time IS NULL LIMIT 1"):
        assert time.monotonic() < deadline, "reports are not applied"
        time.sleep(0.1)


class Books:
    """Everything that is written down about a merchant all of whose texts are over."""

    def __init__(self, arena: "Arena", shop: Shop) -> None:
        self.messages = arena.rows("sender", "SELECT * FROM messages WHERE merchant_id = %(id)s", id=shop.id)
        self.holds = arena.rows("wallet", "SELECT * FROM holds WHERE merchant_id = %(id)s", id=shop.id)
        (self.wallet,) = arena.rows("wallet", "SELECT * FROM wallets WHERE merchant_id = %(id)s", id=shop.id)
        self.discrepancies = arena.rows("wallet", f"{RECOUNT.text.rstrip()} AS wrong")[0]["wrong"]
        late = "SELECT id FROM attempts WHERE merchant_id = %(id)s AND detail = 'late'"
        self.late = arena.rows("sender", late, id=shop.id)
        self.posted = _posted(arena)
        self.summary = arena.provider.summary()
        self.accepted = _accepted(arena, shop)
        #: Who has to have a row.
        self.booked = set(self.accepted)
        self.recount = Counter(row["state"].lower() for row in self.messages)
        self.captured = sum(row["credits"] for row in self.messages if row["provider_message_id"])

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
            **self._own_checks(run),
        }
        found = [f"{name}: {len(rows)}, such as {rows[0]}" for name, rows in checks.items() if rows]
        sums = self._sums() | self._own_sums()
        return found + [
            f"{name}: {is_now}, should be {ought}" for name, (is_now, ought) in sums.items() if is_now != ought
        ]

    def _own_checks(self, run: Run) -> dict[str, list[Any]]:
        return {}

    def _own_sums(self) -> dict[str, tuple[Any, Any]]:
        return {}

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
        return [phone for phone in self.accepted if counts[phone] != (phone in self.booked)]

    def _without_id(self, state: str) -> list[Any]:
        return [row["to"] for row in self.messages if row["state"] == state and not row["provider_message_id"]]

    def _sums(self) -> dict[str, tuple[Any, Any]]:
        """What a sum is, and ought to be."""
        held, captured = sum(hold["amount"] for hold in self.holds), self.captured
        return {
            "captured of the holds": (sum(hold["captured"] for hold in self.holds), captured),
            "released of the holds": (sum(hold["released"] for hold in self.holds), held - captured),
            "price": (held, sum(row["credits"] for row in self.messages if row["error"] != NOT_PAID)),
            "spent": (self.wallet["spent"], captured),
            "held": (self.wallet["held"], 0),
            "available": (self.wallet["available"], START_CREDITS - captured),
            "discrepancies of the ledger": (self.discrepancies, 0),
        }


class CampaignBooks(Books):
    """Of a merchant with one campaign."""

    def __init__(self, arena: "Arena", shop: Shop, campaign: str) -> None:
        super().__init__(arena, shop)
        (self.tally,) = arena.rows("sender", "SELECT * FROM tallies WHERE campaign_id = %(id)s", id=campaign)
        self.report = shop.report(campaign)

    def _own_sums(self) -> dict[str, tuple[Any, Any]]:
        counts, credits, recount = self.report["counts"], self.report["credits"], self.recount
        return {
            "state": (self.report["state"], "COMPLETED"),
            "tally": ({state: self.tally[state] for state in STATES}, {state: recount[state] for state in STATES}),
            "report": ({state: counts[state] for state in STATES}, {state: recount[state] for state in STATES}),
            "recipients": (counts["targeted"], len(self.accepted)),
            "queued": (counts["queued"], 0),
            "captured by the tally": (self.tally["credits_captured"], self.captured),
            "captured by the report": (credits["captured"], self.captured),
        }


class SingleBooks(Books):
    """Of a merchant who sent single texts: what each of them was answered, in turn, is what became of it."""

    def __init__(self, arena: "Arena", shop: Shop, answers: Answers) -> None:
        super().__init__(arena, shop)
        self.answers = answers
        # Who was refused never was; who was told of a message has it.
        self.told = {phone: said for phone, each in answers.items() for said in each if not isinstance(said, str)}
        self.booked = set(self.told)

    def _own_checks(self, run: Run) -> dict[str, list[Any]]:
        there = {(row["to"], str(row["id"])) for row in self.messages}
        told = {(phone, message["id"]) for phone, message in self.told.items()}
        several = Counter(row["id"] >> INDEX_BITS for row in self.messages).most_common(1)
        refused = [said for each in self.answers.values() for said in each if isinstance(said, str)]
        return {
            "not answered": [phone for phone in self.accepted if len(self.answers[phone]) < ASKED],
            "answered differently": [each for each in self.answers.values() if _changed(each)],
            "told of, and not there": sorted(told - there),
            "there, and not told of": sorted(there - told),
            "none came together": [] if several and several[0][1] > 1 else several,
            "refused without a cause": [said for said in refused if run.outcome != TOO_DEAR or REFUSAL not in said],
        }


def _changed(answers: Sequence[dict[str, Any] | str]) -> bool:
    """Whether the same request was answered differently, once it was answered with a message."""
    told = list(itertools.dropwhile(lambda said: isinstance(said, str), answers))
    return any(said != told[0] for said in told)


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
