"""What the senders ask."""

from datetime import UTC, datetime

from astronote.campaigns.v1 import campaigns_pb2 as pb
from astronote.campaigns.v1 import campaigns_pb2_grpc as rpc
from kit import caller
from kit.interceptors import Context
from kit.store import Database
from services.campaigns.store import CampaignStore


class Batches(rpc.BatchesServiceServicer):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def ClaimBatch(self, request: pb.ClaimBatchRequest, context: Context) -> pb.ClaimBatchResponse:
        async with CampaignStore.open(self._database, caller.merchant_id()) as store:
            claim = await store.claim_batch(request.batch_id, datetime.now(UTC))
        return pb.ClaimBatchResponse(verdict=claim.verdict, reason=claim.reason)
