"""Freezing an audience: streamed from contacts, rendered, priced, stored page by page, and its price held.

A crash resumes after the last page. No transaction is open while contacts or the wallet answer.
"""

import asyncio
import uuid
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import NamedTuple

import grpc
import structlog
from prometheus_client import Counter

from astronote.campaigns.v1.campaigns_pb2 import Campaign
from astronote.contacts.v1 import contacts_pb2 as contacts
from astronote.contacts.v1.audience_pb2 import Audience
from astronote.contacts.v1.contacts_pb2_grpc import AudiencesServiceStub
from astronote.sender.v1.batches_pb2 import SendBatch
from astronote.wallet.v1 import wallet_pb2 as wallet
from astronote.wallet.v1.wallet_pb2_grpc import WalletServiceStub
from kit import crash, errors, trace
from kit.channel import Peer
from kit.rows import AnyRow
from kit.store import Database
from services.campaigns import batching, experiments, waves
from services.campaigns.codes import Codes
from services.campaigns.errors import TextInvalid
from services.campaigns.experiments import HELD_OUT
from services.campaigns.pricing import START_MISSED, TOO_LONG
from services.campaigns.rendering import Text, experiment_text
from services.campaigns.store import CampaignStore
from services.campaigns.store.audiences import LEASE_SECONDS, LeaseLostError
from services.campaigns.waves import Wave

HOLD_TIMEOUT_SECONDS = 10
PAGE_TIMEOUT_SECONDS = 40
# Half of what our NATS carries in a message (`max_payload`).
BATCH_BYTES_MAX = 4_000_000
# No answer may come later than the lease that its question was asked under.
assert HOLD_TIMEOUT_SECONDS < LEASE_SECONDS
# Why the wallet may refuse today, and not tomorrow: the merchant goes on when it is over.
WAITING = frozenset({"SPENDING_BRAKED", "DAILY_CAP_REACHED"})
PREPARED = Counter("recipients_prepared", "Recipients whose text was rendered, priced and frozen.")
log = structlog.get_logger()


class Audiences:
    """Contacts, as campaigns ask them."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._stub = AudiencesServiceStub(peer.channel)

    async def pages(
        self,
        merchant_id: str,
        audience: Audience,
        fields: tuple[str, ...],
        page_size: int,
        after_phone: str = "",
        at_time: datetime | None = None,
        contact_ids: Sequence[str] = (),
    ) -> AsyncGenerator[contacts.AudiencePage]:
        request = contacts.StreamAudienceRequest(
            audience=audience,
            fields=fields,
            after_phone=after_phone,
            page_size=page_size,
            contact_ids=contact_ids,
        )
        if at_time:
            request.at_time.FromDatetime(at_time)
        call = self._stub.StreamAudience(request, metadata=self._peer.metadata(merchant_id), timeout=3600)
        try:
            pages = aiter(call)
            while True:
                # A stream that stands still must not outlast the lease.
                async with asyncio.timeout(PAGE_TIMEOUT_SECONDS):
                    page = await anext(pages, None)
                if page is None:
                    return
                yield page
        finally:
            call.cancel()

    async def count(self, merchant_id: str, audience: Audience) -> int:
        return (await self._counted(merchant_id, contacts.CountAudienceRequest(audience=audience))).count

    async def count_opted_out(self, merchant_id: str, audience: Audience) -> int:
        """Those whom the audience names and who may not be texted."""
        request = contacts.CountAudienceRequest(audience=audience, count_opted_out=True)
        return (await self._counted(merchant_id, request)).opted_out

    async def _counted(
        self, merchant_id: str, request: contacts.CountAudienceRequest
    ) -> contacts.CountAudienceResponse:
        """Of what is wrong with an audience contacts says the node; that goes on to whoever asked."""
        return await self._stub.CountAudience(request, metadata=self._peer.metadata(merchant_id), timeout=20)


class Rendered(NamedTuple):
    """Members in their order: those of them who get the text, how many of these in time, and a batch for each wave."""

    members: Sequence[contacts.AudienceMember]
    texted: Sequence[contacts.AudienceMember]
    timely: int
    batches: Mapping[Wave, SendBatch]


class Preparer:
    """`step` freezes and pays for one campaign, `hold_step` pays for one that is frozen already: what is made with its
    audience does not wait behind a million. Several run at once, here and in other replicas.
    """

    def __init__(
        self,
        database: Database,
        audiences: Audiences,
        wallet: Peer,
        codes: Codes,
        batch_size: int,
        late_seconds_max: float,
        due: asyncio.Event,
    ) -> None:
        self._database, self._audiences, self._codes, self._batch_size = database, audiences, codes, batch_size
        self._late_max = timedelta(seconds=late_seconds_max)
        self._wallet, self._wallet_stub = wallet, WalletServiceStub(wallet.channel)
        #: Set when batches became due.
        self._due = due

    async def step(self) -> bool:
        return await self._prepare(frozen=False)

    async def hold_step(self) -> bool:
        return await self._prepare(frozen=True)

    async def _prepare(self, *, frozen: bool) -> bool:
        async with CampaignStore.open_pipeline(self._database) as store:
            row = await store.take_preparing(str(uuid.uuid4()), frozen=frozen)
        if row is None:
            return False
        trace.enter(trace.of(row.id.replace("-", "")))
        try:
            with trace.within("INTERNAL", "hold for a campaign" if frozen else "prepare a campaign"):
                whole = row if frozen else await self._frozen(row)
                crash.point("prepare.frozen")
                if whole is not None:
                    await self._hold(whole)
        except LeaseLostError:
            log.info("preparation given up", campaign_id=row.id)
        except (grpc.aio.AioRpcError, asyncio.CancelledError):
            # Somebody is restarted, we or whom we asked: nobody has to wait for this lease to run out.
            async with CampaignStore.open_pipeline(self._database) as store:
                await store.put_down(row)
            raise
        return True

    async def _frozen(self, row: AnyRow) -> AnyRow | None:
        """The campaign with its audience; none where it failed, since trying again would not help."""
        try:
            return await self._freeze(row)
        except TextInvalid:
            failure = "TEXT_INVALID"
        except grpc.aio.AioRpcError as error:
            if error.code() not in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND):
                raise
            failure = "AUDIENCE_INVALID"
        async with CampaignStore.open_pipeline(self._database) as store:
            await store.fail(await store.freeze(row), failure)
        return None

    async def _freeze(self, row: AnyRow) -> AnyRow:
        text = experiment_text(row, row.link_base_url)
        # As the book was asked when the campaign was started: a run that resumes meets the same people.
        fields = waves.fields(row, text)
        pages = self._audiences.pages(
            row.merchant_id, row.audience, fields, self._page_size(row), row.after_phone, row.start_time
        )
        async with aclosing(_one_ahead(self._rendered(row, text, pages))) as rendered:
            async for part in rendered:
                await self._store(row, part)
                crash.point("prepare.page")
        async with CampaignStore.open_pipeline(self._database) as store:
            return await store.freeze(row)

    def _page_size(self, row: AnyRow) -> int:
        """What is throttled goes out in batches of a minute each, so that an hour is filled evenly."""
        return min(self._batch_size, row.throttle_per_hour // 60 or self._batch_size)

    async def _rendered(
        self, row: AnyRow, text: Text, pages: AsyncGenerator[contacts.AudiencePage]
    ) -> AsyncGenerator[Rendered]:
        async with aclosing(pages):
            async for page in pages:
                for part in await self._parts(row, text, page.members):
                    yield part

    async def _parts(self, row: AnyRow, text: Text, members: Sequence[contacts.AudienceMember]) -> list[Rendered]:
        """These members, or a half and a half where one batch would be more than the broker carries."""
        texted = experiments.texted(row, members)
        due = waves.of(row, texted, self._late_max)
        async with CampaignStore.open_pipeline(self._database) as store:
            ids = await store.next_batch_ids(len(due))
        # A page takes longer than others may wait for the loop.
        batches = await asyncio.to_thread(batching.of_waves, row, ids, text, due, self._codes)
        if len(members) > 1 and any(batch.ByteSize() > BATCH_BYTES_MAX for batch in batches.values()):
            half = len(members) // 2
            return [*await self._parts(row, text, members[:half]), *await self._parts(row, text, members[half:])]
        return [Rendered(members, texted, sum(map(len, due.values())), batches)]

    async def _store(self, row: AnyRow, part: Rendered) -> None:
        too_long = part.timely - sum(len(batch.recipients) for batch in part.batches.values())
        held_out = len(part.members) - len(part.texted)
        skipped = {TOO_LONG: too_long, START_MISSED: len(part.texted) - part.timely, HELD_OUT: held_out}
        async with CampaignStore.open_pipeline(self._database) as store:
            await store.add_batches(row, part.batches, part.members[-1].phone, skipped)
            if held_out:
                await store.add_hold_out(row, part.members, part.texted)
        PREPARED.inc(len(part.members))

    async def _hold(self, row: AnyRow) -> None:
        failure = "NO_RECIPIENTS" if row.price == 0 else ""
        if not failure:
            request = wallet.HoldRequest(hold_id=row.id, amount=row.price, destinations=row.destinations)
            metadata = self._wallet.metadata(row.merchant_id)
            try:
                await self._wallet_stub.Hold(request, metadata=metadata, timeout=HOLD_TIMEOUT_SECONDS)
            except grpc.aio.AioRpcError as error:
                # What the wallet will not pay for is final; anything else is tried again.
                if error.code() != grpc.StatusCode.FAILED_PRECONDITION:
                    raise
                failure = errors.reason(error)
        crash.point("prepare.held")
        try:
            async with CampaignStore.open_pipeline(self._database) as store:
                if failure in WAITING and row.kind == Campaign.CAMPAIGN:
                    await store.put_off(row, failure)
                elif failure:
                    await store.fail(await store.freeze(row), failure)
                else:
                    await store.begin_sending(row, row.price)
        except LeaseLostError:
            # The campaign may have ended and been closed meanwhile: then this hold is still to be closed.
            async with CampaignStore.open_pipeline(self._database) as store:
                await store.reopen(row.id)
            raise
        self._due.set()


async def _one_ahead(parts: AsyncGenerator[Rendered]) -> AsyncGenerator[Rendered]:
    """The next one is made while the last one is stored: a core renders, and the database has the other."""

    async def following() -> Rendered | None:
        return await anext(parts, None)

    async with aclosing(parts):
        coming = asyncio.create_task(following())
        try:
            while part := await coming:
                coming = asyncio.create_task(following())
                yield part
        finally:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)
