"""Statements over experiments: whom a hold-out was for, and who of them did what the campaign was for."""

from collections.abc import AsyncIterator, Collection, Sequence
from uuid import UUID

from sqlalchemy import func, insert, select
from sqlalchemy.dialects import postgresql

from astronote.contacts.v1.contacts_pb2 import AudienceMember
from kit.rows import AnyRow
from kit.store import Store
from services.campaigns.tables import conversions, hold_outs


class ExperimentStatements(Store):
    async def add_hold_out(
        self, row: AnyRow, members: Sequence[AudienceMember], texted: Sequence[AudienceMember]
    ) -> None:
        """A page of an audience, and who of it is texted."""
        texted_ids = [each.contact_id for each in texted]
        held_out_ids = {each.contact_id for each in members} - set(texted_ids)
        values = {"texted_ids": b"".join(texted_ids), "held_out_ids": b"".join(sorted(held_out_ids))}
        whose = {"merchant_id": row.merchant_id, "campaign_id": row.id}
        await self.connection.execute(insert(hold_outs).values(whose | values))

    async def hold_out_pages(self, campaign_id: str) -> AsyncIterator[AnyRow]:
        mine = (hold_outs.c.campaign_id == campaign_id, hold_outs.c.merchant_id == self.merchant_id)
        query = select(hold_outs.c.texted_ids, hold_outs.c.held_out_ids).where(*mine)
        async for row in await self.connection.stream(query, execution_options={"yield_per": 10}):
            yield row

    async def add_conversions(self, campaign_id: str, ids: Collection[bytes], *, held_out: bool) -> int:
        """How many of them were not noted before."""
        if not ids:
            return 0
        whose = {"campaign_id": campaign_id, "merchant_id": self.merchant_id, "held_out": held_out}
        values = [{**whose, "contact_id": str(UUID(bytes=id))} for id in sorted(ids)]
        added = postgresql.insert(conversions).values(values).on_conflict_do_nothing()
        return (await self.connection.execute(added)).rowcount

    async def conversion_counts(self, campaign_id: str) -> dict[bool, int]:
        """Of those held out, and of the others."""
        mine = (conversions.c.campaign_id == campaign_id, conversions.c.merchant_id == self.merchant_id)
        query = select(conversions.c.held_out, func.count()).where(*mine).group_by(conversions.c.held_out)
        return {row[0]: row[1] for row in await self.connection.execute(query)}
