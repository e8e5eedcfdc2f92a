"""The RPCs of the sender."""

import asyncio
from collections.abc import Sequence
from datetime import UTC

from astronote.sender.v1 import inbound_pb2 as inbound_pb
from astronote.sender.v1 import inbound_pb2_grpc as inbound_rpc
from astronote.sender.v1 import sender_pb2 as pb
from astronote.sender.v1 import sender_pb2_grpc as rpc
from kit import caller, crash, pages
from kit.gathering import Gathering
from kit.interceptors import Context
from kit.store import Database
from services.sender import listening
from services.sender.delivery import DLR
from services.sender.errors import InboundInvalid, InboundResolved, RangeInvalid, ReportInvalid
from services.sender.replay import Replayer
from services.sender.singles import Singles
from services.sender.store import SenderStore
from services.sender.webhooks import Proof, items

# At most 2 MiB each.
BODIES_TOGETHER_MAX = 20
# The provider comes again over the same connections: a fifth less CPU a report, and a commit for twice as many.
PAUSE_SECONDS = 0.005


class Messages(rpc.MessagesServiceServicer):
    def __init__(self, database: Database, singles: Singles) -> None:
        self._database, self._singles = database, singles

    async def SendMessage(self, request: pb.SendMessageRequest, context: Context) -> pb.Message:
        return await self._singles.send(caller.merchant_id(), request)

    async def GetMessage(self, request: pb.GetMessageRequest, context: Context) -> pb.Message:
        async with SenderStore.open(self._database, caller.merchant_id()) as store:
            return await store.message(request.id)

    async def ListMessages(self, request: pb.ListMessagesRequest, context: Context) -> pb.ListMessagesResponse:
        limit, before = pages.size(request.page_size), pages.after(request.page_token, pages.number)
        async with SenderStore.open(self._database, caller.merchant_id()) as store:
            page = await store.message_page(request, before, limit)
        return pb.ListMessagesResponse(messages=page, next_page_token=pages.token(page, limit, lambda m: m.id))


class Tallies(rpc.TalliesServiceServicer):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def GetTally(self, request: pb.GetTallyRequest, context: Context) -> pb.GetTallyResponse:
        async with SenderStore.open(self._database, caller.merchant_id()) as store:
            tally = await store.tally(request.campaign_id)
            finished = await store.finished(request.campaign_id, list(request.batch_ids))
        return pb.GetTallyResponse(tally=tally, finished_batch_ids=finished)


class Outcomes(rpc.OutcomesServiceServicer):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def ListOutcomes(self, request: pb.ListOutcomesRequest, context: Context) -> pb.ListOutcomesResponse:
        limit = pages.size(request.page_size)
        async with SenderStore.open(self._database, caller.merchant_id()) as store:
            return pb.ListOutcomesResponse(messages=await store.outcome_page(request, limit))

    async def GetOutcome(self, request: pb.GetOutcomeRequest, context: Context) -> pb.Outcome:
        async with SenderStore.open(self._database, caller.merchant_id()) as store:
            return await store.outcome(request.id)


class Reports(rpc.ReportsServiceServicer):
    def __init__(self, database: Database, proof: Proof, received: asyncio.Event, replayer: Replayer) -> None:
        self._database, self._proof, self._received = database, proof, received
        self._replayer = replayer
        self._keeping = Gathering(self._keep, BODIES_TOGETHER_MAX, PAUSE_SECONDS)

    async def _keep(self, bodies: Sequence[bytes]) -> Sequence[None]:
        async with SenderStore.open_pipeline(self._database) as store:
            await store.keep_webhooks(DLR, bodies)
        return [None] * len(bodies)

    async def ReceiveDeliveryReports(
        self, request: pb.ReceiveDeliveryReportsRequest, context: Context
    ) -> pb.ReceiveDeliveryReportsResponse:
        body = request.body.data
        self._proof.check(dict(context.invocation_metadata() or ()), body)
        count = len(items(body, ReportInvalid))
        crash.point("report.received")
        await self._keeping.add(body)
        crash.point("report.stored")
        self._received.set()
        return pb.ReceiveDeliveryReportsResponse(received=count)

    async def ReplayWebhooks(self, request: pb.ReplayWebhooksRequest, context: Context) -> pb.ReplayWebhooksResponse:
        start, end = (time.ToDatetime(tzinfo=UTC) for time in (request.start_time, request.end_time))
        if end <= start:
            raise RangeInvalid(field="end_time")
        return await self._replayer.replay(start, end, request.page_token)

    async def ListQuarantinedReports(
        self, request: pb.ListQuarantinedReportsRequest, context: Context
    ) -> pb.ListQuarantinedReportsResponse:
        limit, before = pages.size(request.page_size), pages.after(request.page_token, _place)
        async with SenderStore.open_pipeline(self._database) as store:
            page = await store.quarantined_page(before, limit)
        token = pages.token(page, limit, lambda report: f"{report.webhook_id} {report.position}")
        return pb.ListQuarantinedReportsResponse(reports=page, next_page_token=token)


class Inbound(inbound_rpc.InboundServiceServicer):
    """`posted` and `pending` wake whoever reads what was posted, and obeys what was read."""

    def __init__(self, database: Database, proof: Proof, posted: asyncio.Event, pending: asyncio.Event) -> None:
        self._database, self._proof, self._posted, self._pending = database, proof, posted, pending

    async def ReceiveInbound(
        self, request: inbound_pb.ReceiveInboundRequest, context: Context
    ) -> inbound_pb.ReceiveInboundResponse:
        body = request.body.data
        self._proof.check(dict(context.invocation_metadata() or ()), body)
        count = len(items(body, InboundInvalid))
        async with SenderStore.open_pipeline(self._database) as store:
            await store.keep_webhooks(listening.KIND, [body])
        self._posted.set()
        return inbound_pb.ReceiveInboundResponse(received=count)

    async def ListInbound(
        self, request: inbound_pb.ListInboundRequest, context: Context
    ) -> inbound_pb.ListInboundResponse:
        limit, before = pages.size(request.page_size), pages.after(request.page_token, pages.number)
        async with SenderStore.open(self._database, caller.merchant_id()) as store:
            page = await store.inbound_page(request, before, limit)
        token = pages.token(page, limit, lambda text: text.id)
        return inbound_pb.ListInboundResponse(inbound=page, next_page_token=token)

    async def ResolveInbound(
        self, request: inbound_pb.ResolveInboundRequest, context: Context
    ) -> inbound_pb.InboundText:
        async with SenderStore.open(self._database, caller.merchant_id()) as store:
            text = await store.lock_inbound(request.id)
            if text.kind != text.UNCLEAR or (text.state != text.REVIEW and text.opt_out != request.opt_out):
                raise InboundResolved(id=request.id)
            if text.state == text.REVIEW:
                text = await store.resolve_inbound(request.id, opt_out=request.opt_out)
        self._pending.set()
        return text


def _place(token: str) -> tuple[int, int]:
    """Raises ValueError."""
    webhook_id, position = token.split(" ")
    return pages.number(webhook_id), pages.number(position)
