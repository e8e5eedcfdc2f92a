"""The RPC by which merchants say who did what a campaign was for."""

from astronote.campaigns.v1 import experiments_pb2 as pb
from astronote.campaigns.v1 import experiments_pb2_grpc as rpc
from kit import caller
from kit.interceptors import Context
from kit.store import Database
from services.campaigns import experiments
from services.campaigns.errors import NoHoldOut
from services.campaigns.store import CampaignStore


class Experiments(rpc.ExperimentsServiceServicer):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def RecordConversions(
        self, request: pb.RecordConversionsRequest, context: Context
    ) -> pb.RecordConversionsResponse:
        sought = experiments.contact_ids(request.contact_ids)
        async with CampaignStore.open(self._database, caller.merchant_id()) as store:
            campaign = await store.campaign(request.id)
            if not campaign.frozen or not campaign.experiment or not campaign.experiment.hold_out_percent:
                raise NoHoldOut(id=request.id)
            texted, held_out = set[bytes](), set[bytes]()
            async for page in store.hold_out_pages(campaign.id):
                texted |= experiments.among(page.texted_ids, sought)
                held_out |= experiments.among(page.held_out_ids, sought)
            recorded = await store.add_conversions(campaign.id, texted, held_out=False)
            recorded += await store.add_conversions(campaign.id, held_out, held_out=True)
        unknown = [text for id, text in sought.items() if id not in texted | held_out]
        return pb.RecordConversionsResponse(recorded=recorded, unknown_contact_ids=unknown)
