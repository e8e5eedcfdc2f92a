"""The RPCs by which Stripe's events arrive, and operators look after them."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import orjson
from google.protobuf.timestamp_pb2 import Timestamp

from astronote.wallet.v1 import billing_pb2 as pb
from astronote.wallet.v1 import billing_pb2_grpc as rpc
from kit import pages
from kit.interceptors import Context
from kit.store import Database
from services.wallet import signature
from services.wallet.errors import RangeInvalid, StripeEventInvalid
from services.wallet.repair import Repair
from services.wallet.store import WalletStore

SIGNATURE_HEADER = "http-stripe-signature"
ID_LENGTH_MAX = 255


class StripeEvents(rpc.StripeEventsServiceServicer):
    """`received` wakes whoever handles them."""

    def __init__(self, database: Database, secrets: Sequence[str], repair: Repair, received: asyncio.Event) -> None:
        self._database, self._secrets, self._repair, self._received = database, secrets, repair, received

    async def ReceiveStripeEvent(
        self, request: pb.ReceiveStripeEventRequest, context: Context
    ) -> pb.ReceiveStripeEventResponse:
        body, now = request.body.data, datetime.now(UTC)
        header = str(dict(context.invocation_metadata() or ()).get(SIGNATURE_HEADER, ""))
        signature.check(header, body, self._secrets, now.timestamp())
        id, type = _named(body)
        async with WalletStore.open_pipeline(self._database) as store:
            await store.keep_event(id, type, body, now)
        self._received.set()
        return pb.ReceiveStripeEventResponse()

    async def ListStripeEvents(
        self, request: pb.ListStripeEventsRequest, context: Context
    ) -> pb.ListStripeEventsResponse:
        limit, before = pages.size(request.page_size), pages.after(request.page_token, pages.number)
        async with WalletStore.open_pipeline(self._database) as store:
            found = await store.event_page(request.state, before, limit)
        token = pages.token(found, limit, lambda item: item[0])
        return pb.ListStripeEventsResponse(events=[shown for _, shown in found], next_page_token=token)

    async def ReplayStripeEvents(
        self, request: pb.ReplayStripeEventsRequest, context: Context
    ) -> pb.ReplayStripeEventsResponse:
        start, end = _range(request.start_time, request.end_time)
        async with WalletStore.open_pipeline(self._database) as store:
            replayed = await store.replay_events(start, end, request.state, datetime.now(UTC))
        self._received.set()
        return pb.ReplayStripeEventsResponse(events=replayed)

    async def RepairStripeEvents(
        self, request: pb.RepairStripeEventsRequest, context: Context
    ) -> pb.RepairStripeEventsResponse:
        return await self._repair.between(*_range(request.start_time, request.end_time))


def _named(body: bytes) -> tuple[str, str]:
    """Id and type of an event. Refuses `StripeEventInvalid`."""
    try:
        event = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise StripeEventInvalid(field="body", problem=str(error)[:200]) from error
    if not isinstance(event, dict) or not isinstance(event.get("data"), dict):
        raise StripeEventInvalid(field="body", problem="expected an event with its data")
    names = [event.get("id"), event.get("type")]
    if not isinstance(event["data"].get("object"), dict) or not all(
        isinstance(name, str) and 0 < len(name) <= ID_LENGTH_MAX for name in names
    ):
        raise StripeEventInvalid(field="body", problem="expected an event's id, type and object")
    return str(names[0]), str(names[1])


def _range(start: Timestamp, end: Timestamp) -> tuple[datetime, datetime]:
    """Refuses `RangeInvalid`."""
    times = start.ToDatetime(tzinfo=UTC), end.ToDatetime(tzinfo=UTC)
    if times[1] <= times[0]:
        raise RangeInvalid(field="end_time")
    return times
