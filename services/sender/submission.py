"""The send path: take a batch, ask whether it still goes, say so, ask to whom, submit, record.

No recipient is ever submitted twice: an attempt is committed before a byte leaves, and an attempt without an outcome
is *unknown* when the batch is taken again, never queued again. See docs/architecture.md, "The send path".
"""

import asyncio
import uuid
from collections.abc import Callable, Sequence

import grpc
import structlog
from prometheus_client import Counter, Histogram

from astronote.campaigns.v1 import campaigns_pb2 as campaigns
from astronote.campaigns.v1.campaigns_pb2_grpc import BatchesServiceStub
from astronote.contacts.v1 import contacts_pb2 as contacts
from astronote.contacts.v1.contacts_pb2_grpc import AudiencesServiceStub
from astronote.sender.v1.batches_pb2 import BatchRecipient, SendBatch
from astronote.sender.v1.sender_pb2 import Message
from kit import crash
from kit.channel import Peer
from kit.inbox import Delivery, RetryLater
from kit.rows import AnyRow
from kit.store import Database
from services.sender import outcomes
from services.sender.admission import BULK, SINGLE, Admissions, HeldBackError
from services.sender.limits import Hands
from services.sender.outcomes import Accepted, NotSent, Outcome, Refused, Result, Unknown
from services.sender.providers import Provider
from services.sender.settings import Settings
from services.sender.store import SenderStore
from services.sender.store.attempts import Lease, LeaseLostError
from services.sender.store.messages import IdsRepeatedError

ASK_TIMEOUT_SECONDS = 10
CAPPED = "frequency_cap"
BUSY_SECONDS = 5.0
AWAY_SECONDS = 2.0
SUBMITTED = Counter("submissions", "Calls to the provider by outcome.", ["outcome"])
SECONDS = Histogram(
    "provider_seconds", "Time of a call to the provider.", buckets=(0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30)
)
RECORDED = Counter("messages_recorded", "Messages by the outcome of their submission; SKIPPED never left.", ["outcome"])
STATES = {Accepted: "ACCEPTED", Refused: "REFUSED", Unknown: "UNKNOWN", NotSent: "NOT_SENT"}
Verdict = campaigns.ClaimBatchResponse
log = structlog.get_logger()

Indexed = Sequence[tuple[int, BatchRecipient]]


class Gatekeepers:
    """Who has a say right before a text goes out. No answer: no send."""

    def __init__(self, campaigns: Peer, contacts: Peer) -> None:
        self._campaigns, self._contacts = campaigns, contacts
        self._batches, self._audiences = BatchesServiceStub(campaigns.channel), AudiencesServiceStub(contacts.channel)

    async def claim(self, batch: SendBatch) -> campaigns.ClaimBatchResponse:
        """What its campaign says to the batch."""
        if not batch.campaign_id:
            return Verdict(verdict=Verdict.GO)
        request = campaigns.ClaimBatchRequest(batch_id=batch.batch_id)
        metadata = self._campaigns.metadata(batch.merchant_id)
        return await self._batches.ClaimBatch(request, metadata=metadata, timeout=ASK_TIMEOUT_SECONDS)

    async def refused(self, batch: SendBatch, recipients: Sequence[BatchRecipient]) -> frozenset[str]:
        """The phones that may no longer be texted. A single text and a test may go to somebody who is no contact; who
        was erased since the batch was frozen has an empty place in it.
        """
        phones = [recipient.phone for recipient in recipients if recipient.phone]
        allow_strangers = batch.allow_strangers or not batch.campaign_id
        request = contacts.FilterTextableRequest(phones=phones, allow_strangers=allow_strangers)
        metadata = self._contacts.metadata(batch.merchant_id)
        answer = await self._audiences.FilterTextable(request, metadata=metadata, timeout=ASK_TIMEOUT_SECONDS)
        return frozenset(["", *answer.refused_phones])


class Submitter:
    def __init__(
        self,
        database: Database,
        gatekeepers: Gatekeepers,
        admissions: Admissions,
        provider: Provider,
        settings: Settings,
        settle: asyncio.Event,
        new_id: Callable[[], str] = lambda: str(uuid.uuid4()),
    ) -> None:
        self._database, self._gatekeepers, self._admissions = database, gatekeepers, admissions
        self._provider, self._settings, self._new_id = provider, settings, new_id
        self._hands = {BULK: Hands(settings.merchant_concurrency), SINGLE: Hands(settings.single_concurrency - 1)}
        #: Set when the wallet has something to hear.
        self._settle = settle

    async def on_batch(self, batch: SendBatch, delivery: Delivery) -> None:
        """Raises `RetryLater` where the batch has to come again."""
        with self._hands[_lane(batch)].taking(batch.merchant_id):
            await self._on_batch(batch, delivery)

    async def _on_batch(self, batch: SendBatch, delivery: Delivery) -> None:
        lease = Lease(batch.batch_id, self._new_id(), self._settings.lease_seconds)
        row = await self._take(batch, lease)
        if row is None:
            return
        crash.point("sender.taken")
        try:
            await self._go_through(batch, lease, row, delivery)
        except LeaseLostError:
            log.warning("lease lost", batch_id=batch.batch_id)
        except HeldBackError as held:
            await self._put_down(lease)
            raise RetryLater(held.seconds) from held
        except grpc.aio.AioRpcError as error:
            log.warning("held back", batch_id=batch.batch_id, error=error.details())
            await self._put_down(lease)
            raise RetryLater(AWAY_SECONDS) from error
        finally:
            self._settle.set()

    async def _take(self, batch: SendBatch, lease: Lease) -> AnyRow | None:
        """The batch, ours. An attempt that somebody left without an outcome becomes unknown."""
        async with SenderStore.open_pipeline(self._database) as store:
            row = await store.take(batch, lease)
            if row is None:
                if await store.is_done(batch.batch_id):
                    return None
                raise RetryLater(BUSY_SECONDS)
            attempt = await store.open_attempt(batch.batch_id)
            if attempt is not None:
                log.warning("attempt without outcome", batch_id=batch.batch_id, attempt_id=attempt.id)
                submitted, skipped = _parts(batch, attempt)
                lost = outcomes.results(Unknown("the sender died"), submitted) + skipped
                await store.record(attempt, "UNKNOWN", "the sender died", batch, lost)
                row = await store.batch(lease)
        return row

    async def _go_through(self, batch: SendBatch, lease: Lease, row: AnyRow, delivery: Delivery) -> None:
        if row.state == "DONE":
            return
        claim = await self._gatekeepers.claim(batch)
        crash.point("sender.claimed")
        if claim.verdict == Verdict.GO:
            first, tries = row.next_index, row.tries
            while first < len(batch.recipients):
                if delivery.leaving.is_set():
                    raise HeldBackError(0)
                first += await self._submit_chunk(batch, lease, first, tries)
                tries = 0
        elif claim.verdict == Verdict.STOP:
            rest = list(enumerate(batch.recipients))[row.next_index :]
            async with SenderStore.open_pipeline(self._database) as store:
                await store.skip_rest(batch, lease, outcomes.skipped(rest, claim.reason or "cancelled"))
        elif claim.verdict == Verdict.DROP:
            async with SenderStore.open_pipeline(self._database) as store:
                await store.forget(lease)
        else:
            await self._put_down(lease)

    async def _submit_chunk(self, batch: SendBatch, lease: Lease, first: int, tries: int) -> int:
        """Submits as many, from this index on, as may leave now; answers with how many that were."""
        wanted = min(self._settings.chunk_size, len(batch.recipients) - first)
        admission = await self._admissions.wait(batch.merchant_id, _lane(batch), wanted)
        chunk = list(enumerate(batch.recipients))[first : first + admission.count]
        attempt_id = self._new_id()
        async with SenderStore.open_pipeline(self._database) as store:
            await store.begin_attempt(attempt_id, batch, lease, len(chunk))
        crash.point("sender.intent")
        submitted = await self._textable(batch, attempt_id, chunk)
        outcome: Outcome = Accepted([])
        if submitted:
            outcome = await self._submit(batch, submitted)
            crash.point("sender.answered")
            SUBMITTED.labels(STATES[type(outcome)]).inc()
        try:
            await self._record(batch, lease, attempt_id, outcome, tries)
        except IdsRepeatedError:
            log.exception("ids of other messages", attempt_id=attempt_id)
            await self._record(batch, lease, attempt_id, Unknown("an id that another message has"), tries)
        finally:
            # After the record: ids in hand are worth more than what they say of the route.
            if submitted:
                await self._admissions.learn(admission, outcome)
        crash.point("sender.recorded")
        return len(chunk)

    async def _textable(self, batch: SendBatch, attempt_id: str, chunk: Indexed) -> Indexed:
        """Those of an attempt who may be texted. Asked after its commit, so that whoever opted out before that is left
        out, and so that of two attempts at once, where texts are capped, one knows of the other. Raises
        `LeaseLostError`, and `AioRpcError` where nobody answers.
        """
        async with SenderStore.open_pipeline(self._database) as store:
            stopping = await store.stopping(batch.merchant_id)
        try:
            refused = stopping | await self._gatekeepers.refused(batch, [recipient for _, recipient in chunk])
        except grpc.aio.AioRpcError:
            async with SenderStore.open_pipeline(self._database) as store:
                await store.take_back(attempt_id)
            raise
        skipped_indexes = [index for index, recipient in chunk if recipient.phone in refused]
        if skipped_indexes:
            async with SenderStore.open_pipeline(self._database) as store:
                await store.leave_out(attempt_id, skipped_indexes)
        textable = [(index, recipient) for index, recipient in chunk if recipient.phone not in refused]
        if not batch.cap_texts:
            return textable
        async with SenderStore.open_pipeline(self._database) as store:
            capped = await store.cap(attempt_id, batch, textable)
        return [(index, recipient) for index, recipient in textable if index not in capped]

    async def _submit(self, batch: SendBatch, submitted: Indexed) -> Outcome:
        texts = [(batch.first_message_id + index, recipient) for index, recipient in submitted]
        try:
            with SECONDS.time():
                async with asyncio.timeout(self._settings.provider_timeout_seconds):
                    return await self._provider.submit(batch.sender_name, texts)
        except TimeoutError:
            return Unknown("no answer in time")

    async def _record(self, batch: SendBatch, lease: Lease, attempt_id: str, outcome: Outcome, tries: int) -> None:
        """Raises `RetryLater` where nothing was sent and there are tries left."""
        again = isinstance(outcome, NotSent) and (not outcome.counts or tries + 1 < self._settings.tries_max)
        async with SenderStore.open_pipeline(self._database) as store:
            attempt = await store.lock_attempt(attempt_id)
            submitted, skipped = _parts(batch, attempt)
            if attempt.state != "OPEN":
                # The lease was lost and the attempt given up; only a success still counts, since its ids are proof.
                if attempt.state == "UNKNOWN" and isinstance(outcome, Accepted):
                    await store.accept_late(attempt, batch, outcomes.results(outcome, submitted))
                return
            if isinstance(outcome, NotSent) and again:
                await store.not_sent(attempt, outcome.reason, counts=outcome.counts)
                await store.release_lease(lease)
            else:
                results = outcomes.results(outcome, submitted) + skipped
                detail = "" if isinstance(outcome, Accepted) else outcome.reason
                await store.record(attempt, STATES[type(outcome)], detail, batch, results)
        RECORDED.labels("SKIPPED").inc(0 if again else len(skipped))
        RECORDED.labels(STATES[type(outcome)]).inc(0 if again else len(submitted))
        if isinstance(outcome, NotSent) and again:
            log.warning("not sent", batch_id=batch.batch_id, reason=outcome.reason, tries=tries + 1)
            wait_seconds = outcome.retry_seconds or self._settings.retry_seconds * 2**tries
            raise RetryLater(min(wait_seconds, self._settings.retry_seconds_max))

    async def _put_down(self, lease: Lease) -> None:
        async with SenderStore.open_pipeline(self._database) as store:
            await store.release_lease(lease)


def _lane(batch: SendBatch) -> str:
    """A single text belongs to no campaign."""
    return BULK if batch.campaign_id and not batch.expedited else SINGLE


def _parts(batch: SendBatch, attempt: AnyRow) -> tuple[Indexed, list[Result]]:
    """Who was to be submitted in an attempt, and what became of those who were left out of it."""
    everybody = list(enumerate(batch.recipients))[attempt.first_index :][: attempt.recipient_count]
    reasons = dict.fromkeys(attempt.skipped_indexes, "opted_out") | dict.fromkeys(attempt.capped_indexes, CAPPED)
    submitted = [pair for pair in everybody if pair[0] not in reasons]
    left_out = [Result(*pair, Message.SKIPPED, None, reasons[pair[0]]) for pair in everybody if pair[0] in reasons]
    return submitted, left_out
