"""The RPCs that operators have of the whole wallet."""

from astronote.wallet.v1 import operations_pb2 as pb
from astronote.wallet.v1 import operations_pb2_grpc as rpc
from kit.interceptors import Context
from kit.store import Database
from services.wallet.errors import RecountUnderWay
from services.wallet.store import WalletStore


class Operations(rpc.LedgerOperationsServiceServicer):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def AuditLedger(self, request: pb.AuditLedgerRequest, context: Context) -> pb.LedgerAudit:
        async with WalletStore.open_pipeline(self._database) as store:
            if not await store.may_recount():
                raise RecountUnderWay(retry_seconds=5)
            discrepancies, balances = await store.discrepancies(), await store.balances()
            holds, _ = await store.open_holds()
        return pb.LedgerAudit(discrepancies=discrepancies, open_holds=holds, **balances)
