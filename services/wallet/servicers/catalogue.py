"""The RPCs by which operators keep the catalogue. Each change is noted with its operator, in its own transaction."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message

from astronote.wallet.v1 import catalogue_pb2 as pb
from astronote.wallet.v1 import catalogue_pb2_grpc as rpc
from kit import caller, pages, rows
from kit.interceptors import Context
from kit.store import Database
from services.wallet import catalogue
from services.wallet.servicers.prices import ENTRIES_MAX
from services.wallet.store import WalletStore

Entry = TypeVar("Entry", bound=Message)


class Catalogues(rpc.CatalogueServiceServicer):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def GetCatalogue(self, request: pb.GetCatalogueRequest, context: Context) -> pb.Catalogue:
        async with WalletStore.open_pipeline(self._database) as store:
            return await store.catalogue(ENTRIES_MAX)

    async def UpdatePackage(self, request: pb.UpdatePackageRequest, context: Context) -> pb.Package:
        package = request.package
        return await self._update(package, request.update_mask, f"packages/{package.id}", catalogue.check_package)

    async def UpdatePlan(self, request: pb.UpdatePlanRequest, context: Context) -> pb.Plan:
        plan = request.plan
        return await self._update(plan, request.update_mask, f"plans/{plan.id}", catalogue.check_plan)

    async def UpdateTopUpPrice(self, request: pb.UpdateTopUpPriceRequest, context: Context) -> pb.TopUpPrice:
        price = request.top_up_price
        resource = f"topUpPrices/{price.currency}"
        return await self._update(price, request.update_mask, resource, catalogue.check_top_up_price)

    async def UpdateVatRate(self, request: pb.UpdateVatRateRequest, context: Context) -> pb.VatRate:
        rate = request.vat_rate
        return await self._update(rate, request.update_mask, f"vatRates/{rate.country}", catalogue.check_vat_rate)

    async def ListCatalogueChanges(
        self, request: pb.ListCatalogueChangesRequest, context: Context
    ) -> pb.ListCatalogueChangesResponse:
        limit, before = pages.size(request.page_size), pages.after(request.page_token, pages.number)
        async with WalletStore.open_pipeline(self._database) as store:
            found = await store.catalogue_changes(before, limit)
        token = pages.token(found, limit, lambda item: item[0])
        return pb.ListCatalogueChangesResponse(changes=[shown for _, shown in found], next_page_token=token)

    async def _update(self, entry: Entry, mask: FieldMask, resource: str, check: Callable[[Entry], None]) -> Entry:
        """Changes an entry, whose key is its first field, or adds it; what stands after it is checked as a whole."""
        key, *others = entry.DESCRIPTOR.fields_by_name
        paths = set(rows.paths(mask, entry, frozenset([key, *others]))) - {key}
        async with WalletStore.open_pipeline(self._database) as store:
            await store.lock_catalogue()
            before = await store.entry(type(entry), getattr(entry, key))
            after = type(entry)(**{key: getattr(entry, key)})
            after.MergeFrom(before or after)
            FieldMask(paths=paths).MergeMessage(entry, after, True, True)
            check(after)
            await store.put_entry(after)
            was = MessageToJson(before, indent=None) if before else ""
            now, operator_id = datetime.now(UTC), caller.current().user_id
            await store.note_change(operator_id, resource, was, MessageToJson(after, indent=None), now)
        return after
