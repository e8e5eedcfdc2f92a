"""The RPCs of the sender."""

import asyncio
import hashlib
import hmac
from datetime import UTC

from astronote.sender.v1 import sender_pb2 as pb
from astronote.sender.v1 import sender_pb2_grpc as rpc
from kit import caller, crash, pages
from kit.interceptors import Context
from kit.store import Database
from services.sender import reports
from services.sender.delivery import DLR
from services.sender.errors import RangeInvalid, WebhookSecretWrong
from services.sender.replay import Replayer
from services.sender.singles import Singles
from services.sender.store import SenderStore

SECRET_HEADER = "http-x-webhook-secret"  # noqa: S105 (a name)
SIGNATURE_HEADER = "http-x-webhook-signature"


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


class Reports(rpc.ReportsServiceServicer):
    """`secrets`: any of them proves a callback, alone in a header or as the key of an HMAC-SHA256 of the body."""

    def __init__(self, database: Database, secrets: list[str], received: asyncio.Event, replayer: Replayer) -> None:
        self._database, self._secrets, self._received = database, [secret.encode() for secret in secrets], received
        self._replayer = replayer

    async def ReceiveDeliveryReports(
        self, request: pb.ReceiveDeliveryReportsRequest, context: Context
    ) -> pb.ReceiveDeliveryReportsResponse:
        body = request.body.data
        self._check(dict(context.invocation_metadata() or ()), body)
        count = len(reports.items(body))
        crash.point("report.received")
        async with SenderStore.open_pipeline(self._database) as store:
            await store.keep_webhook(DLR, body)
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

    def _check(self, headers: dict[str, str | bytes], body: bytes) -> None:
        """Refuses `WebhookSecretWrong`. Every secret is compared, in constant time."""
        given = _bytes(headers.get(SECRET_HEADER, ""))
        signature = _bytes(headers.get(SIGNATURE_HEADER, "")).lower()
        proven = [hmac.compare_digest(given, secret) for secret in self._secrets]
        if signature:
            digests = [hmac.new(secret, body, hashlib.sha256).hexdigest().encode() for secret in self._secrets]
            proven += [hmac.compare_digest(signature, digest) for digest in digests]
        if not any(proven):
            raise WebhookSecretWrong


def _place(token: str) -> tuple[int, int]:
    """Raises ValueError."""
    webhook_id, position = token.split(" ")
    return pages.number(webhook_id), pages.number(position)


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode()
