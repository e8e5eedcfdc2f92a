"""The RPCs about one person: what is held, and its end."""

from collections.abc import AsyncIterator

from astronote.campaigns.v1 import privacy_pb2 as pb
from astronote.campaigns.v1 import privacy_pb2_grpc as rpc
from astronote.sender.v1.batches_pb2 import SendBatch
from kit import caller
from kit.interceptors import Context
from kit.store import Database
from services.campaigns.codes import place
from services.campaigns.store import CampaignStore


class Privacy(rpc.PrivacyServiceServicer):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def ExportPerson(
        self, request: pb.ExportPersonRequest, context: Context
    ) -> AsyncIterator[pb.ExportPersonResponse]:
        async with CampaignStore.open(self._database, caller.merchant_id()) as store:
            async for response in store.responses_to(request.message_ids):
                yield response

    async def ErasePerson(self, request: pb.ErasePersonRequest, context: Context) -> pb.ErasePersonResponse:
        batch_ids = {place(message_id)[0] for message_id in request.message_ids}
        erased, last = 0, 0
        # A batch a transaction: its payload is up to a megabyte.
        while True:
            async with CampaignStore.open(self._database, caller.merchant_id()) as store:
                found = await store.next_holding(request.phone, batch_ids, last)
                if found is None:
                    await store.forget_place(request.phone)
                    break
                last, payload = found
                await store.replace_payload(last, _without(payload, request.phone))
            erased += 1
        return pb.ErasePersonResponse(batches=erased)


def _without(payload: bytes, phone: str) -> bytes:
    """The batch with a place where the person was: the others keep their indexes, and so their message ids."""
    batch = SendBatch.FromString(payload)
    for recipient in batch.recipients:
        if recipient.phone == phone:
            recipient.ClearField("phone")
            recipient.ClearField("text")
    return batch.SerializeToString()
