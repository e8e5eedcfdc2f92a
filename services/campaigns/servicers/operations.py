"""The RPCs that operators have of campaigns."""

from astronote.campaigns.v1 import operations_pb2 as pb
from astronote.campaigns.v1 import operations_pb2_grpc as rpc
from kit import pages
from kit.interceptors import Context
from kit.store import Database
from services.campaigns.errors import BatchesTooMany
from services.campaigns.store import CampaignStore


class Operations(rpc.BatchOperationsServiceServicer):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def ListOpenBatches(self, request: pb.ListOpenBatchesRequest, context: Context) -> pb.ListOpenBatchesResponse:
        limit, after = pages.size(request.page_size), pages.after(request.page_token, pages.number)
        async with CampaignStore.open_pipeline(self._database) as store:
            page = await store.out_page(request.generation_min, after or 0, limit)
        token = pages.token(page, limit, lambda batch: batch.id)
        return pb.ListOpenBatchesResponse(batches=page, next_page_token=token)

    async def PublishBatches(self, request: pb.PublishBatchesRequest, context: Context) -> pb.PublishBatchesResponse:
        if len(request.ids) > pages.SIZE_MAX:
            raise BatchesTooMany(field="ids", count_max=pages.SIZE_MAX)
        async with CampaignStore.open_pipeline(self._database) as store:
            published = await store.publish_again(list(request.ids))
        return pb.PublishBatchesResponse(published=published)
