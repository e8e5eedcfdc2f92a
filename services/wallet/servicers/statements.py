"""The RPC that writes statements."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

from google.api.httpbody_pb2 import HttpBody

from astronote.wallet.v1 import statements_pb2 as pb
from astronote.wallet.v1 import statements_pb2_grpc as rpc
from kit import caller, webpage
from kit.interceptors import Context
from kit.store import Database
from services.wallet import statement_page, statements
from services.wallet.merchants import Merchants
from services.wallet.store import WalletStore


class Statements(rpc.StatementsServiceServicer):
    def __init__(self, database: Database, merchants: Merchants) -> None:
        self._database, self._merchants = database, merchants

    async def GetStatement(self, request: pb.GetStatementRequest, context: Context) -> AsyncIterator[HttpBody]:
        merchant = await self._merchants.get(caller.merchant_id())
        month = statements.month(request.month, merchant.time_zone, datetime.now(UTC))
        async with WalletStore.open_snapshot(self._database, caller.merchant_id()) as store:
            opening = await store.balances_at(month.start_time)
            if request.format == request.PAGE:
                words = statement_page.WORDS[request.language]
                page = statement_page.page(words, merchant.company, month, opening, await store.days_of(month))
                yield HttpBody(content_type=webpage.CONTENT_TYPE, data=page)
                return
            sheet = statements.Sheet(month, opening)
            async for lines in store.lines_of(month):
                sheet.write(lines)
                yield HttpBody(content_type=statements.CSV, data=sheet.taken())
        sheet.close()
        yield HttpBody(content_type=statements.CSV, data=sheet.taken())
