"""Single texts: kept, paid for, and sent on the road of the batches, on a lane of their own.

Those of a merchant and sender name that come at the same time are one batch with one hold (ADR 41). Its row in
`singles` comes first, so that no hold is ever taken that nobody remembers. Whatever dies, `step` goes on from the row:
it pays, publishes, publishes again what was forgotten, and closes the hold when its sum is settled.
"""

import asyncio
import re
import unicodedata
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import grpc
import structlog

from astronote.accounts.v1.accounts_pb2 import GetMerchantRequest, Merchant
from astronote.accounts.v1.accounts_pb2_grpc import MerchantsServiceStub
from astronote.sender.v1.batches_pb2 import SendBatch
from astronote.sender.v1.sender_pb2 import Message, SendMessageRequest
from astronote.wallet.v1 import wallet_pb2 as wallet
from astronote.wallet.v1.wallet_pb2_grpc import WalletServiceStub
from kit import crash, errors, gsm, trace
from kit.bus import Bus, work_subject
from kit.channel import Peer
from kit.errors import DomainError, FailedPrecondition
from kit.gathering import Gatherings
from kit.rows import AnyRow
from kit.store import Database, IdempotencyKeyReused
from services.sender.admission import SINGLE
from services.sender.errors import (
    CountryNotAllowed,
    DailyCapReached,
    InsufficientCredits,
    MerchantUnavailable,
    PhoneInvalid,
    SenderNameInvalid,
    SenderNameMissing,
    SpendingBraked,
    TextInvalid,
)
from services.sender.store import SenderStore

# The layout of message ids: an origin bit (62), the batch's sequence, the index (services/campaigns/codes.py). The
# sequence of singles begins at the origin bit.
INDEX_BITS = 17
TEXT_CHARACTERS_MAX = 1530
E164 = re.compile(r"\+[1-9][0-9]{6,14}")
SENDER_NAME = re.compile(r"[A-Za-z0-9]{3,11}|\+[1-9][0-9]{7,14}")
LINE_BREAKS = "\n\r"
# A calling code is the plus and up to three digits.
DESTINATION_LENGTH = 4
# What the wallet may refuse to pay for, in our words.
REFUSALS = {each.reason(): each for each in (InsufficientCredits, SpendingBraked, DailyCapReached, CountryNotAllowed)}
TIMEOUT_SECONDS = 5
ROUND_SIZE = 50
# A batch of which the provider's answer is lost is unknown as a whole.
TOGETHER_MAX = 50
PAUSE_SECONDS = 0.02
# Each time others have asked for the same text at that moment, too, and were refused it.
TRIES_MAX = 3
log = structlog.get_logger()


class Merchants:
    """Accounts, as the sender asks them."""

    def __init__(self, peer: Peer) -> None:
        self._peer, self._stub = peer, MerchantsServiceStub(peer.channel)

    async def profile(self, merchant_id: str) -> Merchant:
        """Empty where there is no such merchant. Refuses `MerchantUnavailable`."""
        metadata = self._peer.metadata(merchant_id)
        try:
            return await self._stub.GetMerchant(GetMerchantRequest(), metadata=metadata, timeout=TIMEOUT_SECONDS)
        except grpc.aio.AioRpcError as error:
            if error.code() == grpc.StatusCode.NOT_FOUND:
                return Merchant()
            raise MerchantUnavailable from error


@dataclass(frozen=True)
class Kept:
    """A text as it was kept, now or by an earlier request with its id."""

    message: Message
    is_new: bool


class Singles:
    """`sweep_seconds`: what nobody finished is looked after again so much later."""

    def __init__(
        self,
        database: Database,
        bus: Bus,
        merchants: Merchants,
        wallet: Peer,
        sweep_seconds: float,
        new_id: Callable[[], str] = lambda: str(uuid.uuid4()),
    ) -> None:
        self._database, self._bus, self._merchants, self._new_id = database, bus, merchants, new_id
        self._wallet, self._wallet_stub = wallet, WalletServiceStub(wallet.channel)
        self._sweep_seconds = sweep_seconds
        self._gatherings = Gatherings(self._send_together, TOGETHER_MAX, PAUSE_SECONDS)
        #: Set when a text is due.
        self.due = asyncio.Event()

    async def send(self, merchant_id: str, request: SendMessageRequest) -> Message:
        """Keeps a text and pays for it. Where the wallet does not answer, it is paid for later."""
        _check(request)
        for _ in range(TRIES_MAX):
            message = await self._recalled(merchant_id, request)
            if message is None:
                kept = await self._gatherings.add((merchant_id, request.sender_name), request)
                if kept.is_new:
                    return kept.message
                message = kept.message
            # What was refused together with others never was, and may go by itself.
            with suppress(FailedPrecondition):
                return await self._paid_again(merchant_id, message)
        raise InsufficientCredits(credits=gsm.count(request.text)[1])

    async def _recalled(self, merchant_id: str, request: SendMessageRequest) -> Message | None:
        if not request.request_id:
            return None
        async with SenderStore.open(self._database, merchant_id) as store:
            return await store.recalled(request, Message)

    async def _paid_again(self, merchant_id: str, message: Message) -> Message:
        """Whoever asks again hears what the wallet says, too, where nobody was told that the text is queued."""
        batch_id = message.id >> INDEX_BITS
        async with SenderStore.open(self._database, merchant_id) as store:
            single, stands = await store.single(batch_id), await store.stands(batch_id)
        if not stands:
            raise InsufficientCredits(credits=message.segments)
        if single is not None and single.state == "PREPARED":
            await self._pay_or_leave(single)
        return message

    async def _send_together(
        self, whose: tuple[str, str], requests: Sequence[SendMessageRequest]
    ) -> "Sequence[Kept | DomainError]":
        """A batch of those that are new. What the wallet refuses to pay for together is tried one by one. Refuses
        `SenderNameMissing`.
        """
        merchant_id, sender_name = whose
        sender_name = sender_name or (await self._merchants.profile(merchant_id)).sender_name
        if not sender_name:
            raise SenderNameMissing(field="sender_name")
        kept, single = await self._keep(merchant_id, sender_name, requests)
        if single is None:
            return kept
        crash.point("single.kept")
        try:
            await self._pay_or_leave(single)
        except FailedPrecondition as refusal:
            # Those of this batch, also who asked for the same text again in this round.
            places = [place for place, each in enumerate(kept) if _is_in(each, single)]
            if len(places) == 1:
                kept[places[0]] = refusal
            else:
                for place in places:
                    (kept[place],) = await self._send_together((merchant_id, sender_name), [requests[place]])
        return kept

    async def step(self) -> bool:
        async with SenderStore.open_pipeline(self._database) as store:
            singles = await store.take_singles(ROUND_SIZE, self._sweep_seconds)
        if not singles:
            return False
        crash.point("single.taken")
        ends = await asyncio.gather(*(self._look_after(single) for single in singles), return_exceptions=True)
        closed = [single for single, end in zip(singles, ends, strict=True) if end is True]
        if closed:
            async with SenderStore.open_pipeline(self._database) as store:
                await store.drop_singles(closed)
        for end in ends:
            if isinstance(end, BaseException):
                raise end
        return len(singles) == ROUND_SIZE

    async def _keep(
        self, merchant_id: str, sender_name: str, requests: Sequence[SendMessageRequest]
    ) -> "tuple[list[Kept | DomainError], AnyRow | None]":
        """What each is answered, and the row of those that are new, if any is."""
        kept: list[Kept | DomainError] = []
        async with SenderStore.open(self._database, merchant_id) as store:
            batch = SendBatch(merchant_id=merchant_id, hold_id=self._new_id(), sender_name=sender_name)
            batch.batch_id = await store.next_single_id()
            batch.first_message_id = batch.batch_id << INDEX_BITS
            request_ids: list[str] = []
            for request in requests:
                try:
                    answer = await store.replayed(request, Message)
                except IdempotencyKeyReused as refusal:
                    kept.append(refusal)
                    continue
                if answer is None:
                    message = await store.answered(request, _queued(batch, request))
                    request_ids.append(request.request_id)
                    kept.append(Kept(message, is_new=True))
                else:
                    kept.append(Kept(answer, is_new=False))
            single = await store.add_single(batch, request_ids, self._sweep_seconds) if batch.recipients else None
        return kept, single

    async def _pay_or_leave(self, single: AnyRow) -> None:
        """Refuses what the wallet refuses it for; where it does not answer, the text is paid for later."""
        try:
            await self._pay(single, is_told=True)
        except grpc.aio.AioRpcError as error:
            log.warning("wallet away", error=error.details())
            async with SenderStore.open_pipeline(self._database) as store:
                stands = await store.leave_single(single.batch_id)
            if not stands:
                raise InsufficientCredits(credits=single.amount) from error

    async def _pay(self, single: AnyRow, *, is_told: bool) -> None:
        """Refuses what the wallet refuses it for, where it never was (`refuse_single`); raises `AioRpcError` where the
        wallet does not answer.
        """
        recipients = SendBatch.FromString(single.payload).recipients
        destinations = sorted({recipient.phone[:DESTINATION_LENGTH] for recipient in recipients})
        request = wallet.HoldRequest(hold_id=single.hold_id, amount=single.amount, destinations=destinations)
        metadata = self._wallet.metadata(single.merchant_id)
        refusal = ""
        try:
            await self._wallet_stub.Hold(request, metadata=metadata, timeout=TIMEOUT_SECONDS)
        except grpc.aio.AioRpcError as error:
            if error.code() != grpc.StatusCode.FAILED_PRECONDITION:
                raise
            refusal = errors.reason(error)
            log.info("not paid for", batch_id=single.batch_id, reason=refusal)
        crash.point("single.held")
        async with SenderStore.open_pipeline(self._database) as store:
            if refusal:
                stands = await store.refuse_single(single, refusal, is_told=is_told)
            else:
                stands = await store.pay_single(single)
        if not stands:
            raise REFUSALS.get(refusal, InsufficientCredits)(credits=single.amount)
        crash.point("single.paid")
        self.due.set()

    async def _look_after(self, single: AnyRow) -> bool:
        """Whether the books of a text are closed."""
        trace.enter(single.traceparent)
        if single.state == "PREPARED":
            with suppress(FailedPrecondition):
                await self._pay(single, is_told=False)
            return False
        if single.state == "PAID" and single.queued:
            key = f"{single.batch_id}-{single.generation}"
            await self._bus.publish(work_subject(SendBatch, SINGLE), single.payload, key)
            crash.point("single.published")
            return False
        if single.unknown:
            return False
        return await self._close(single, single.captured)

    async def _close(self, single: AnyRow, captured: int) -> bool:
        """Whether its hold is closed, or was never taken."""
        request = wallet.CloseHoldRequest(hold_id=single.hold_id, captured=captured)
        metadata = self._wallet.metadata(single.merchant_id)
        try:
            await self._wallet_stub.CloseHold(request, metadata=metadata, timeout=TIMEOUT_SECONDS)
        except grpc.aio.AioRpcError as error:
            if error.code() == grpc.StatusCode.NOT_FOUND and single.state == "REFUSED":
                return True
            # Its capture is still on the way to the wallet.
            if error.code() == grpc.StatusCode.ABORTED:
                return False
            raise
        crash.point("single.closed")
        return True


def _check(request: SendMessageRequest) -> None:
    """Refuses `PhoneInvalid`, `TextInvalid`, `SenderNameInvalid`."""
    if not E164.fullmatch(request.to):
        raise PhoneInvalid(field="to")
    text = request.text
    has_control = any(unicodedata.category(character) == "Cc" and character not in LINE_BREAKS for character in text)
    if not text.strip() or len(text) > TEXT_CHARACTERS_MAX or has_control:
        raise TextInvalid(field="text", characters=len(text), characters_max=TEXT_CHARACTERS_MAX)
    if request.sender_name and not SENDER_NAME.fullmatch(request.sender_name):
        raise SenderNameInvalid(field="sender_name")


def _is_in(kept: Kept | DomainError, single: AnyRow) -> bool:
    return isinstance(kept, Kept) and kept.message.id >> INDEX_BITS == single.batch_id


def _queued(batch: SendBatch, request: SendMessageRequest) -> Message:
    """Takes the text into the batch, and shows it. A segment costs one credit."""
    id, segments = batch.first_message_id + len(batch.recipients), gsm.count(request.text)[1]
    batch.recipients.add(phone=request.to, text=request.text, segments=segments, credits=segments)
    return Message(id=id, to=request.to, text=request.text, segments=segments, state=Message.QUEUED)
