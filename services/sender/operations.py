"""The RPCs that operators have of the sender."""

from dataclasses import replace
from datetime import UTC, datetime

from astronote.operations.v1 import restore_pb2
from astronote.operations.v1 import restore_pb2_grpc as restore_rpc
from astronote.sender.v1 import operations_pb2 as pb
from astronote.sender.v1 import operations_pb2_grpc as rpc
from kit import pages
from kit.interceptors import Context
from kit.store import Database
from ops import served
from services.sender.limits import LONG_AGO
from services.sender.store import SenderStore

SINGLES_MAX = 500
RESTORED = "restored"


class Operations(rpc.RouteOperationsServiceServicer):
    def __init__(self, database: Database, route_id: str) -> None:
        self._database, self._route_id = database, route_id

    async def ListUnknownAttempts(
        self, request: pb.ListUnknownAttemptsRequest, context: Context
    ) -> pb.ListUnknownAttemptsResponse:
        limit, after = pages.size(request.page_size), pages.after(request.page_token, pages.uuid)
        async with SenderStore.open_pipeline(self._database) as store:
            page = await store.unknown_page(after, limit)
        token = pages.token(page, limit, lambda attempt: attempt.id)
        return pb.ListUnknownAttemptsResponse(attempts=page, next_page_token=token)

    async def GetRoute(self, request: pb.GetRouteRequest, context: Context) -> pb.ProviderRoute:
        async with SenderStore.open_pipeline(self._database) as store:
            return await self._shown(store)

    async def DrainRoute(self, request: pb.DrainRouteRequest, context: Context) -> pb.ProviderRoute:
        return await self._drain(is_drained=True)

    async def ResumeRoute(self, request: pb.ResumeRouteRequest, context: Context) -> pb.ProviderRoute:
        return await self._drain(is_drained=False)

    async def _drain(self, *, is_drained: bool) -> pb.ProviderRoute:
        async with SenderStore.open_pipeline(self._database) as store:
            route, _ = await store.lock_route(self._route_id)
            await store.change_route(replace(route, is_drained=is_drained))
            return await self._shown(store)

    async def _shown(self, store: SenderStore) -> pb.ProviderRoute:
        route, _ = await store.lock_route(self._route_id)
        shown = pb.ProviderRoute(id=route.id, is_drained=route.is_drained, is_open=route.is_open, reason=route.reason)
        if route.retry_time > LONG_AGO:
            shown.retry_time.FromDatetime(route.retry_time)
        shown.attempts_in_hand = await store.count_open_attempts()
        return shown


class Restoring(restore_rpc.RestoreServiceServicer):
    """What operators do after the database went back to a point in time. See docs/backup.md."""

    def __init__(self, database: Database, route_id: str) -> None:
        self._database, self._route_id = database, route_id

    async def StopForgotten(
        self, request: restore_pb2.StopForgottenRequest, context: Context
    ) -> restore_pb2.StopForgottenResponse:
        ids = served.ids_forgotten(request, datetime.now(UTC))
        async with SenderStore.open_pipeline(self._database) as store:
            route, _ = await store.lock_route(self._route_id)
            await store.change_route(replace(route, is_drained=True))
            await store.leave_out_single_ids(ids)
            rejected = await store.reject_waiting(RESTORED, SINGLES_MAX)
            in_hand = await store.count_open_attempts()
        stopped = {"single texts": rejected} if rejected else {}
        return restore_pb2.StopForgottenResponse(stopped=stopped, attempts_in_hand=in_hand)
