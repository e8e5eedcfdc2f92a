"""The RPCs about one person: what is held, and its end."""

from collections.abc import AsyncIterator

from astronote.sender.v1 import privacy_pb2 as pb
from astronote.sender.v1 import privacy_pb2_grpc as rpc
from kit import caller
from kit.interceptors import Context
from kit.store import Database
from services.sender.store import SenderStore

WEBHOOKS_A_PIECE = 20_000


class Privacy(rpc.PrivacyServiceServicer):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def ExportPerson(
        self, request: pb.ExportPersonRequest, context: Context
    ) -> AsyncIterator[pb.ExportPersonResponse]:
        async with SenderStore.open(self._database, caller.merchant_id()) as store:
            async for message in store.person_messages(request.phone):
                yield pb.ExportPersonResponse(sent=message)
            async for text in store.person_inbound(request.phone):
                yield pb.ExportPersonResponse(received=text)

    async def ErasePerson(self, request: pb.ErasePersonRequest, context: Context) -> pb.ErasePersonResponse:
        merchant_id, digits = caller.merchant_id(), request.phone.removeprefix("+")
        async with SenderStore.open(self._database, merchant_id) as store:
            message_ids = await store.erase_messages(request.phone)
            await store.erase_answers(request.phone)
            await store.erase_inbound(request.phone)
        # Arrivals, dead letters and bodies are in no merchant's sight, and bodies are many: a piece a transaction.
        async with SenderStore.open_pipeline(self._database) as store:
            await store.erase_arrivals(request.phone)
            await store.erase_dead_letters(merchant_id, digits)
            ids = await store.webhook_ids()
        for first in range(ids.start, ids.stop, WEBHOOKS_A_PIECE):
            async with SenderStore.open_pipeline(self._database) as store:
                piece = range(first, min(first + WEBHOOKS_A_PIECE, ids.stop))
                await store.erase_webhooks(digits, piece)
        return pb.ErasePersonResponse(message_ids=message_ids)
