"""Statements over the catalogue, which is the same for every merchant: theirs read it, the pipeline's write it."""

from datetime import datetime
from typing import Any, TypeVar

from google.protobuf.message import Message
from sqlalchemy import Table, select, text
from sqlalchemy.dialects.postgresql import insert

from astronote.wallet.v1.catalogue_pb2 import Catalogue, CatalogueChange, Package, Plan, TopUpPrice, VatRate
from kit import rows
from kit.store import Store
from services.wallet.catalogue import ELSEWHERE
from services.wallet.errors import CurrencyUnknown, PackageNotFound, PlanNotFound
from services.wallet.store import numbered
from services.wallet.tables import catalogue_changes, packages, plans, top_up_prices, vat_rates

TABLES: dict[type[Message], Table] = {
    Package: packages,
    Plan: plans,
    TopUpPrice: top_up_prices,
    VatRate: vat_rates,
}
Entry = TypeVar("Entry", bound=Message)


class CatalogueStatements(Store):
    async def package(self, id: str) -> Package:
        """One that is sold. Refuses `PackageNotFound`."""
        found = await self.entry(Package, id)
        if found is None or not found.listed:
            raise PackageNotFound(package_id=id)
        return found

    async def plan(self, id: str) -> Plan:
        """Refuses `PlanNotFound`. One that is not sold any more still has who bought it."""
        found = await self.entry(Plan, id)
        if found is None:
            raise PlanNotFound(plan=id)
        return found

    async def top_up_price(self, currency: str) -> TopUpPrice:
        """Refuses `CurrencyUnknown`."""
        found = await self.entry(TopUpPrice, currency)
        if found is None:
            raise CurrencyUnknown(field="currency", currency=currency)
        return found

    async def vat_rate(self, country: str) -> VatRate:
        """That of a country, or of all the others."""
        query = select(vat_rates).where(vat_rates.c.country.in_([country, ELSEWHERE]))
        found = [rows.message(VatRate, row) for row in await self.connection.execute(query)]
        return min(found, key=lambda rate: rate.country == ELSEWHERE)

    async def package_page(self, after: tuple[int, str] | None, limit: int) -> list[Package]:
        """Those that are sold, the smallest first."""
        order = (packages.c.credits, packages.c.id)
        query = select(packages).where(packages.c.listed).order_by(*order).limit(limit)
        if after is not None:
            credits, id = after
            query = query.where(
                (packages.c.credits > credits) | ((packages.c.credits == credits) & (packages.c.id > id))
            )
        return [rows.message(Package, row) for row in await self.connection.execute(query)]

    async def catalogue(self, limit: int) -> Catalogue:
        """All of it, of each kind up to so many."""
        return Catalogue(
            packages=await self._entries(Package, limit),
            plans=await self._entries(Plan, limit),
            top_up_prices=await self._entries(TopUpPrice, limit),
            vat_rates=await self._entries(VatRate, limit),
        )

    async def entry(self, cls: type[Entry], key: str) -> Entry | None:
        query = select(TABLES[cls]).where(_key(TABLES[cls]) == key)
        row = (await self.connection.execute(query)).one_or_none()
        return rows.message(cls, row) if row else None

    async def lock_catalogue(self) -> None:
        """One operator at a time, until the commit: what is noted as before is what was."""
        await self.connection.execute(text("LOCK TABLE catalogue_changes IN SHARE ROW EXCLUSIVE MODE"))

    async def put_entry(self, entry: Message) -> None:
        table = TABLES[type(entry)]
        values = rows.values(entry, table)
        put = insert(table).values(values).on_conflict_do_update(index_elements=[_key(table)], set_=values)
        await self.connection.execute(put)

    async def note_change(self, operator_id: str, resource: str, before: str, after: str, now: datetime) -> None:
        row = {"operator_id": operator_id, "resource": resource, "before": before, "after": after, "change_time": now}
        await self.connection.execute(insert(catalogue_changes).values(row))

    async def catalogue_changes(self, before: int | None, limit: int) -> list[tuple[int, CatalogueChange]]:
        """With their numbers, newest first."""
        query = select(catalogue_changes).order_by(catalogue_changes.c.number.desc()).limit(limit)
        if before is not None:
            query = query.where(catalogue_changes.c.number < before)
        return [numbered.message(CatalogueChange, row) for row in await self.connection.execute(query)]

    async def _entries(self, cls: type[Entry], limit: int) -> list[Entry]:
        query = select(TABLES[cls]).order_by(_key(TABLES[cls])).limit(limit)
        return [rows.message(cls, row) for row in await self.connection.execute(query)]


def _key(table: Table) -> Any:
    (column,) = table.primary_key
    return column
