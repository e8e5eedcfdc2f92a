"""Statements over the routes to the provider and their rate limits: what all senders share before they submit."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from sqlalchemy import bindparam, func, select, update
from sqlalchemy.dialects.postgresql import insert

from kit.store import Store
from services.sender.breaker import Route
from services.sender.limits import Bucket
from services.sender.tables import rate_limits, routes


class RouteStatements(Store):
    async def lock_route(self, id: str) -> tuple[Route, datetime]:
        """The route, and the database's clock, which is the same for all senders. The first lock of a submission."""
        query = select(routes, func.clock_timestamp().label("now")).where(routes.c.id == id).with_for_update()
        row = (await self.connection.execute(query)).one_or_none()
        if row is None:
            await self.connection.execute(insert(routes).values(id=id).on_conflict_do_nothing())
            row = (await self.connection.execute(query)).one()
        values = dict(row._mapping)
        now: datetime = values.pop("now")
        return Route(**values), now

    async def change_route(self, route: Route) -> None:
        values = asdict(route)
        await self.connection.execute(update(routes).where(routes.c.id == values.pop("id")).values(values))

    async def lock_buckets(self, keys: Sequence[str]) -> list[Bucket]:
        """The buckets of these keys, locked in their order; a key that is new has an empty one."""
        query = select(rate_limits).where(rate_limits.c.key.in_(keys)).order_by(rate_limits.c.key).with_for_update()
        found = (await self.connection.execute(query)).all()
        if len(found) < len(keys):
            fresh = insert(rate_limits).values([{"key": key} for key in sorted(keys)]).on_conflict_do_nothing()
            await self.connection.execute(fresh)
            found = (await self.connection.execute(query)).all()
        buckets = {row.key: Bucket(**row._mapping) for row in found}
        return [buckets[key] for key in keys]

    async def change_buckets(self, buckets: Sequence[Bucket]) -> None:
        changed = update(rate_limits).where(rate_limits.c.key == bindparam("changed_key"))
        values = [asdict(bucket) for bucket in buckets]
        names = ("requests_time", "messages_time", "turn_time")
        changed = changed.values({name: bindparam(name) for name in names})
        await self.connection.execute(changed, [{"changed_key": each.pop("key"), **each} for each in values])
