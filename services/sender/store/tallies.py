"""Statements over tallies and settlements."""

from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert

from astronote.sender.v1.events_pb2 import CampaignTally, MessageOutcomes
from kit.rows import AnyRow, one_of
from kit.store import Store
from services.sender.outcomes import Change
from services.sender.tables import batches, metadata, settlements, tallies

CLAIM_SECONDS = 15


class TallyStatements(Store):
    metadata = metadata

    async def add_to_tally(self, merchant_id: str, campaign_id: str, change: Change) -> None:
        """Moves a campaign's tally and tells campaigns, in absolute numbers. The last lock of every transaction.

        A single text (no campaign) is in no tally.
        """
        if not campaign_id:
            return
        first = insert(tallies).values(campaign_id=campaign_id, merchant_id=merchant_id).on_conflict_do_nothing()
        await self.connection.execute(first)
        mine = tallies.c.campaign_id == campaign_id
        row = (await self.connection.execute(select(tallies).where(mine).with_for_update())).one()
        values: dict[str, Any] = {name: row._mapping[name] + count for name, count in change.counts.items()}
        values["skipped"] = row.skipped | {
            reason: row.skipped.get(reason, 0) + count for reason, count in change.skipped.items()
        }
        values["credits_captured"] = row.credits_captured + change.captured
        values["credits_released"] = row.credits_released + change.released
        values["version"] = row.version + 1
        changed = await self.connection.execute(update(tallies).where(mine).values(values).returning(tallies))
        await self.emit(CampaignTally(**changed.one()._mapping))

    async def say_outcomes(
        self, merchant_id: str, kind: MessageOutcomes.Kind.ValueType, time: datetime, contact_ids: bytes
    ) -> None:
        """Tells contacts what became of texts to them; 16 bytes a contact."""
        if contact_ids:
            said = MessageOutcomes(merchant_id=str(merchant_id), kind=kind, contact_ids=contact_ids)
            said.outcome_time.FromDatetime(time)
            await self.emit(said)

    async def tally(self, campaign_id: str) -> CampaignTally:
        query = select(tallies).where(tallies.c.campaign_id == campaign_id, tallies.c.merchant_id == self.merchant_id)
        row = (await self.connection.execute(query)).one_or_none()
        return CampaignTally(**row._mapping) if row else CampaignTally(campaign_id=campaign_id)

    async def finished(self, campaign_id: str, batch_ids: list[int]) -> list[int]:
        """Which of these batches are done."""
        mine = (batches.c.campaign_id == campaign_id, batches.c.merchant_id == self.merchant_id)
        query = select(batches.c.id).where(*mine, batches.c.id.in_(batch_ids), batches.c.state == "DONE")
        return list((await self.connection.execute(query)).scalars())

    async def settle(self, key: str, merchant_id: str, hold_id: str, change: Change) -> None:
        """Leaves a settlement for the wallet; nothing where no credit moves."""
        if change.captured or change.released:
            amounts = {"capture": change.captured, "release": change.released}
            row = insert(settlements).values(key=key, merchant_id=merchant_id, hold_id=hold_id, **amounts)
            await self.connection.execute(row)

    async def take_settlements(self, limit: int) -> list[AnyRow]:
        waiting = (
            select(settlements.c.key)
            .where(settlements.c.claim_expire_time < func.now())
            .order_by(settlements.c.claim_expire_time)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        claimed = update(settlements).where(one_of(settlements.c.key, waiting))
        until = func.now() + text(f"interval '{CLAIM_SECONDS} seconds'")
        return list(
            (await self.connection.execute(claimed.values(claim_expire_time=until).returning(settlements))).all()
        )

    async def settled(self, keys: list[str]) -> None:
        await self.connection.execute(delete(settlements).where(settlements.c.key.in_(keys)))

    async def return_settlements(self, keys: list[str]) -> None:
        """The wallet did not take them: they are due again, after all others."""
        mine = settlements.c.key.in_(keys)
        await self.connection.execute(update(settlements).where(mine).values(claim_expire_time=func.now()))
