"""The RPCs that operators have of the sender."""

from dataclasses import replace

from astronote.sender.v1 import operations_pb2 as pb
from astronote.sender.v1 import operations_pb2_grpc as rpc
from kit import pages
from kit.interceptors import Context
from kit.store import Database
from services.sender.limits import LONG_AGO
from services.sender.store import SenderStore


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
