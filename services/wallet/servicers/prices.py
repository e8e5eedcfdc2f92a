"""The RPCs by which merchants see what things cost."""

from datetime import UTC, datetime

from astronote.wallet.v1 import catalogue_pb2 as pb
from astronote.wallet.v1 import catalogue_pb2_grpc as rpc
from kit import caller, pages
from kit.interceptors import Context
from kit.store import Database
from services.wallet.entitlement import Terms
from services.wallet.merchants import Merchants
from services.wallet.store import WalletStore

# Of each kind; there are a handful.
ENTRIES_MAX = 500


class Prices(rpc.PricesServiceServicer):
    def __init__(self, database: Database, merchants: Merchants, terms: Terms) -> None:
        self._database, self._merchants, self._terms = database, merchants, terms

    async def ListPackages(self, request: pb.ListPackagesRequest, context: Context) -> pb.ListPackagesResponse:
        limit, after = pages.size(request.page_size), pages.after(request.page_token, _place)
        async with WalletStore.open(self._database, caller.merchant_id()) as store:
            if not self._terms.is_entitled(await store.subscription(), datetime.now(UTC)):
                return pb.ListPackagesResponse()
            page = await store.package_page(after, limit)
        token = pages.token(page, limit, lambda package: f"{package.credits} {package.id}")
        return pb.ListPackagesResponse(packages=page, next_page_token=token)

    async def GetPrices(self, request: pb.GetPricesRequest, context: Context) -> pb.Prices:
        country = (await self._merchants.get(caller.merchant_id())).country
        async with WalletStore.open(self._database, caller.merchant_id()) as store:
            catalogue, vat_rate = await store.catalogue(ENTRIES_MAX), await store.vat_rate(country)
        plans = [plan for plan in catalogue.plans if plan.listed]
        return pb.Prices(plans=plans, top_up_prices=catalogue.top_up_prices, vat_rate=vat_rate)


def _place(token: str) -> tuple[int, str]:
    """Raises ValueError."""
    credits, id = token.split(" ")
    return pages.number(credits), id
