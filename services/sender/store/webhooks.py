"""Statements over what the provider posted: kept as it came, applied, quarantined, replayed, deleted when it is old."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from sqlalchemy import delete, func, insert, select, tuple_, update

from astronote.sender.v1.sender_pb2 import QuarantinedReport
from kit import rows
from kit.boundary import fitting
from kit.store import Store
from services.sender.tables import quarantined_reports, webhooks
from services.sender.webhooks import Body, Quarantined

COLUMNS = (webhooks.c.id, webhooks.c.body, webhooks.c.create_time)


class WebhookStatements(Store):
    async def keep_webhooks(self, kind: str, bodies: Sequence[bytes]) -> None:
        await self.connection.execute(insert(webhooks).inline(), [{"kind": kind, "body": body} for body in bodies])

    async def take_webhooks(self, kind: str, bodies_max: int, bytes_max: int) -> tuple[list[Body], bool]:
        """Bodies that have not been applied, oldest first; ours until the transaction ends. At least one, however
        large. And whether there may be more.
        """
        waiting = select(webhooks.c.id, func.length(webhooks.c.body)).where(
            webhooks.c.kind == kind, webhooks.c.apply_time.is_(None)
        )
        query = waiting.order_by(webhooks.c.id).limit(bodies_max).with_for_update(skip_locked=True)
        found = (await self.connection.execute(query)).all()
        ids = [id for id, _ in found[: fitting((length for _, length in found), bytes_max)]]
        taken = select(*COLUMNS).where(webhooks.c.id.in_(ids)).order_by(webhooks.c.id)
        bodies = [Body(*row) for row in await self.connection.execute(taken)] if ids else []
        return bodies, len(found) == bodies_max or len(ids) < len(found)

    async def webhook_page(
        self, kind: str, start: datetime, end: datetime, after: tuple[datetime, int] | None, limit: int
    ) -> list[Body]:
        """Bodies of a range of time by their arrival; those that are being applied are waited for."""
        arrived = (webhooks.c.create_time >= start, webhooks.c.create_time < end)
        query = select(*COLUMNS).where(webhooks.c.kind == kind, *arrived)
        if after is not None:
            query = query.where(tuple_(webhooks.c.create_time, webhooks.c.id) > after)
        query = query.order_by(webhooks.c.create_time, webhooks.c.id).limit(limit).with_for_update()
        return [Body(*row) for row in await self.connection.execute(query)]

    async def webhooks_applied(self, ids: list[int]) -> None:
        await self.connection.execute(update(webhooks).where(webhooks.c.id.in_(ids)).values(apply_time=func.now()))

    async def quarantine(self, webhook_ids: list[int], items: Sequence[Quarantined]) -> None:
        """What stands of these bodies in quarantine from now on: what can be read by now has left it."""
        stood = delete(quarantined_reports).where(quarantined_reports.c.webhook_id.in_(webhook_ids))
        await self.connection.execute(stood)
        if items:
            await self.connection.execute(insert(quarantined_reports), [asdict(item) for item in items])

    async def quarantined_page(self, before: tuple[int, int] | None, limit: int) -> list[QuarantinedReport]:
        """Newest first."""
        place = quarantined_reports.c.webhook_id, quarantined_reports.c.position
        query = select(quarantined_reports)
        if before is not None:
            query = query.where(tuple_(*place) < before)
        query = query.order_by(*(column.desc() for column in place)).limit(limit)
        return [rows.message(QuarantinedReport, row) for row in await self.connection.execute(query)]

    async def drop_webhooks(self, seconds: float, limit: int) -> int:
        """Deletes bodies that were applied and have been kept for so long, with their quarantined items."""
        age = func.make_interval(0, 0, 0, 0, 0, 0, seconds)
        old = (webhooks.c.create_time < func.now() - age, webhooks.c.apply_time.is_not(None))
        due = select(webhooks.c.id).where(*old).order_by(webhooks.c.create_time).limit(limit)
        ids = list((await self.connection.execute(due.with_for_update(skip_locked=True))).scalars())
        for table, id in ((quarantined_reports, quarantined_reports.c.webhook_id), (webhooks, webhooks.c.id)):
            await self.connection.execute(delete(table).where(id.in_(ids)))
        return len(ids)
