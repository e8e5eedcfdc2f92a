"""Applying delivery reports, ending the wait for those that never come, and settling with the wallet: the background
work that turns what was submitted into closed books.
"""

import asyncio
from datetime import UTC, datetime, timedelta

import structlog
from prometheus_client import Counter, Gauge

from astronote.wallet.v1 import wallet_pb2 as wallet
from astronote.wallet.v1.wallet_pb2_grpc import WalletServiceStub
from kit import crash
from kit.channel import Peer
from kit.rows import AnyRow
from kit.store import Database
from services.sender import reports
from services.sender.reports import Applied, Reading
from services.sender.store import SenderStore
from services.sender.webhooks import Body

BODIES_A_ROUND = 500
# Some 10,000 reports. A body is at most 2 MiB.
BYTES_A_ROUND = 1 << 20
# A round has events for campaigns and contacts, and a campaign's tally, however few its reports.
GATHER_SECONDS = 0.1
# A message is mostly a moment behind its report.
PARKED_SECONDS = 0.3
PARKED_A_ROUND = 5000
SETTLEMENTS_A_ROUND = 20
TIMEOUT_SECONDS = 10
DLR = "dlr"
APPLIED = Counter("delivery_reports_applied", "Delivery reports that were read.")
QUARANTINED = Counter("delivery_reports_quarantined", "Reports with a status or a shape that we do not know.")
PARKED = Counter("delivery_reports_parked", "Reports that came before their message.")
ORPHANED = Counter("delivery_reports_orphaned", "Parked reports that no message of ours asked for.")
MOVED = Counter("message_moves", "Messages that reports moved, by the states.", ["from_state", "to_state"])
PROVEN = Counter("unknown_messages_proven", "Unknown messages that evidence showed to be accepted.")
LATE = Counter("evidence_late", "Evidence that came when its message had expired. It changes nothing.")
CONTRADICTING = Counter(
    "evidence_contradicting", "Reports of a second id for one message, or of one that was refused. Must be zero."
)
UNSETTLED = Gauge("settlements_failing", "Whether the last round of settlements was refused by the wallet.")
log = structlog.get_logger()


class Applier:
    """`step` applies what was posted, `parked_step` what came before its message. `wait_seconds`: how long a report
    waits for its message before it is given up.
    """

    def __init__(self, database: Database, wait_seconds: float, lookup_after_seconds: float) -> None:
        self._database, self._wait_seconds = database, wait_seconds
        self._lookup_after_seconds = lookup_after_seconds
        #: Set when a report is to be tried whose message was still to come.
        self.parked = asyncio.Event()
        self._alarm: asyncio.TimerHandle | None = None

    async def step(self) -> bool:
        async with SenderStore.open_pipeline(self._database) as store:
            bodies, is_full = await store.take_webhooks(DLR, BODIES_A_ROUND, BYTES_A_ROUND)
            if not bodies:
                return False
            reading, applied = await self.apply(store, bodies)
            crash.point("report.applied")
        if applied.absent:
            self.parked.set()
        count(reading, applied)
        return is_full

    async def apply(self, store: SenderStore, bodies: list[Body]) -> tuple[Reading, Applied]:
        """Reads bodies and moves what they report, in the transaction of the store. Again, it changes nothing."""
        reading, ids = await asyncio.to_thread(reports.read, bodies), [body.id for body in bodies]
        await store.quarantine(ids, reading.quarantined)
        applied = await store.apply_reports(list(reading.reports.values()))
        await store.park(applied.absent, self._lookup_after_seconds)
        await store.webhooks_applied(ids)
        return reading, applied

    async def parked_step(self) -> bool:
        async with SenderStore.open_pipeline(self._database) as store:
            parked, seconds = await store.take_parked(PARKED_A_ROUND), await store.parked_seconds()
        if self._alarm is not None:
            self._alarm.cancel()
        if seconds is not None:
            self._alarm = asyncio.get_running_loop().call_later(seconds, self.parked.set)
        if not parked:
            return False
        before = datetime.now(UTC) - timedelta(seconds=self._wait_seconds)
        # Apart from the take, since parked reports are the last to be locked.
        async with SenderStore.open_pipeline(self._database) as store:
            applied = await store.apply_reports(parked)
            given_up = await store.unpark(parked, applied.absent, before)
        ORPHANED.inc(given_up)
        count(Reading(), applied)
        return len(parked) == PARKED_A_ROUND


def count(reading: Reading, applied: Applied) -> None:
    """Counts what was applied, once it is committed; what was only tried again has no reading."""
    APPLIED.inc(reading.count)
    PARKED.inc(len(applied.absent) if reading.count else 0)
    QUARANTINED.inc(len(reading.quarantined))
    for (was, becomes), messages in applied.moved.items():
        MOVED.labels(was, becomes).inc(messages)
    PROVEN.inc(sum(moved for (was, _), moved in applied.moved.items() if was == "UNKNOWN"))
    LATE.inc(applied.late)
    CONTRADICTING.inc(applied.contradicting)
    if reading.quarantined:
        first = reading.quarantined[0]
        log.warning("quarantined", reports=len(reading.quarantined), reason=first.reason, webhook_id=first.webhook_id)
    if applied.contradicting:
        log.error("evidence contradicts our books", reports=applied.contradicting)


class Expirer:
    """Ends the wait of messages whose validity is over; unknown ones have a grace beyond it. One attempt a step: with
    two, the second one's messages would be locked after the first one's tally.
    """

    def __init__(self, database: Database, validity_seconds: float, grace_seconds: float) -> None:
        self._database, self._validity_seconds, self._grace_seconds = database, validity_seconds, grace_seconds

    async def step(self) -> bool:
        async with SenderStore.open_pipeline(self._database) as store:
            attempt = await store.take_expired(self._validity_seconds, self._grace_seconds)
            if attempt is not None:
                await store.close_attempt(attempt)
        return attempt is not None


class Settler:
    """Tells the wallet what was accepted and what was not. Its key makes a repeat harmless."""

    def __init__(self, database: Database, peer: Peer) -> None:
        self._database, self._peer = database, peer
        self._stub = WalletServiceStub(peer.channel)

    async def step(self) -> bool:
        async with SenderStore.open_pipeline(self._database) as store:
            rows = await store.take_settlements(SETTLEMENTS_A_ROUND)
        if not rows:
            return False
        crash.point("settle.taken")
        answers = await asyncio.gather(*(self._settle(row) for row in rows), return_exceptions=True)
        crash.point("settle.answered")
        failed = {row.key: error for row, error in zip(rows, answers, strict=True) if error is not None}
        async with SenderStore.open_pipeline(self._database) as store:
            await store.settled([row.key for row in rows if row.key not in failed])
            await store.return_settlements(list(failed))
        UNSETTLED.set(len(failed))
        if failed:
            raise next(iter(failed.values()))
        return len(rows) == SETTLEMENTS_A_ROUND

    async def _settle(self, row: AnyRow) -> None:
        request = wallet.SettleRequest(hold_id=row.hold_id, key=row.key, capture=row.capture, release=row.release)
        await self._stub.Settle(request, metadata=self._peer.metadata(row.merchant_id), timeout=TIMEOUT_SECONDS)
