"""What customers text: read, shown to the merchants whom it is for, and obeyed.

The row is the truth. A STOP is passed on to contacts by a call that is repeated until it is answered, and not by an
event: a stream that is wiped would lose it.
"""

import asyncio

import structlog
from google.protobuf.timestamp_pb2 import Timestamp
from prometheus_client import Counter

from astronote.contacts.v1 import contacts_pb2 as contacts
from astronote.contacts.v1.contacts_pb2_grpc import AudiencesServiceStub
from astronote.sender.v1.inbound_pb2 import InboundText
from kit.channel import Peer
from kit.rows import AnyRow
from kit.store import Database
from services.sender import inbound
from services.sender.help import Answers
from services.sender.store import SenderStore

BODIES_A_ROUND = 50
BYTES_A_ROUND = 1 << 20
ARRIVALS_A_ROUND = 50
TEXTS_A_ROUND = 50
# An attempt of before may be recorded only now, by a sender that was away.
LOOK_SECONDS_MAX = 86_400.0
TIMEOUT_SECONDS = 5
# Longer than a call takes.
CLAIM_SECONDS = 20.0
RETRY_SECONDS = 2.0
RECEIVED = Counter("inbound_texts", "Texts of customers, by what they ask for.", ["kind"])
QUARANTINED = Counter("inbound_texts_quarantined", "Texts of customers that name no phone.")
UNMATCHED = Counter("inbound_texts_unmatched", "Texts of customers that are for nobody, a day later.")
# What is to be done at once, and what has to be read by a person; the rest is done with being shown.
STATES = {
    InboundText.STOP: InboundText.PENDING,
    InboundText.START: InboundText.PENDING,
    InboundText.HELP: InboundText.PENDING,
    InboundText.UNCLEAR: InboundText.REVIEW,
}
KIND = "inbound"
log = structlog.get_logger()


class Listener:
    """`step` reads what was posted; `look_step` finds the merchants whom it is for, and looks again for a day, since
    what was sent to a phone may be recorded after the phone has answered.
    """

    def __init__(self, database: Database, arrived: asyncio.Event, pending: asyncio.Event) -> None:
        self._database, self._arrived, self._pending = database, arrived, pending

    async def step(self) -> bool:
        async with SenderStore.open_pipeline(self._database) as store:
            bodies, is_full = await store.take_webhooks(KIND, BODIES_A_ROUND, BYTES_A_ROUND)
            if not bodies:
                return False
            reading, ids = inbound.read(bodies), [body.id for body in bodies]
            await store.quarantine(ids, reading.quarantined)
            if reading.arrivals:
                await store.keep_arrivals(reading.arrivals.values())
            await store.webhooks_applied(ids)
        for arrival in reading.arrivals.values():
            RECEIVED.labels(InboundText.Kind.Name(arrival.kind)).inc()
        QUARANTINED.inc(len(reading.quarantined))
        self._arrived.set()
        return is_full

    async def look_step(self) -> bool:
        async with SenderStore.open_pipeline(self._database) as store:
            found = await store.take_arrivals(LOOK_SECONDS_MAX, ARRIVALS_A_ROUND)
            unmatched = [arrival for arrival in found if not await self._show(store, arrival)]
        given_up = [arrival for arrival in unmatched if arrival.look_time is None]
        if given_up:
            UNMATCHED.inc(len(given_up))
            log.warning("for nobody", texts=len(given_up))
        self._pending.set()
        return bool(found)

    async def _show(self, store: SenderStore, arrival: AnyRow) -> list[str]:
        """The merchants whom an arrival is for."""
        merchant_ids = inbound.addressees(await store.users(arrival), await store.texted(arrival))
        for place, merchant_id in enumerate(merchant_ids):
            state = STATES.get(arrival.kind, InboundText.DONE)
            # Of several merchants the last one who texted answers.
            is_silent = arrival.kind == InboundText.HELP and place > 0
            await store.add_inbound(arrival, merchant_id, InboundText.DONE if is_silent else state)
        return merchant_ids


class Obedience:
    """Does what the texts ask for, and again until it is done."""

    def __init__(self, database: Database, peer: Peer, answers: Answers) -> None:
        self._database, self._peer, self._answers = database, peer, answers
        self._stub = AudiencesServiceStub(peer.channel)

    async def step(self) -> bool:
        async with SenderStore.open_pipeline(self._database) as store:
            taken = await store.take_pending(TEXTS_A_ROUND, CLAIM_SECONDS)
        if not taken:
            return False
        ends = await asyncio.gather(*(self._obey(text) for text in taken), return_exceptions=True)
        failed = {text.id: end for text, end in zip(taken, ends, strict=True) if end is not None}
        async with SenderStore.open_pipeline(self._database) as store:
            await store.obeyed([text for text in taken if text.id not in failed])
            await store.put_back(list(failed), RETRY_SECONDS)
        if failed:
            raise next(iter(failed.values()))
        return True

    async def _obey(self, text: AnyRow) -> None:
        said_time = Timestamp()
        said_time.FromDatetime(text.receive_time)
        metadata = self._peer.metadata(str(text.merchant_id))
        if text.kind == InboundText.HELP:
            await self._answers.give(text)
        elif text.kind == InboundText.START:
            restored = contacts.RestoreConsentRequest(phone=text.phone, said_time=said_time)
            await self._stub.RestoreConsent(restored, metadata=metadata, timeout=TIMEOUT_SECONDS)
        else:
            # What a merchant read as an opt-out is not the person's own word: no START undoes it.
            source = "STOP" if text.kind == InboundText.STOP else "review"
            withdrawn = contacts.WithdrawConsentRequest(phone=text.phone, source=source, said_time=said_time)
            await self._stub.WithdrawConsent(withdrawn, metadata=metadata, timeout=TIMEOUT_SECONDS)
