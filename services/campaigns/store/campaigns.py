"""Statements over campaigns: what merchants see and change, and the states."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import delete, func, insert, select, text, update

from astronote.campaigns.v1.campaigns_pb2 import Campaign, ListCampaignsRequest
from astronote.sender.v1.events_pb2 import CampaignTally
from kit import rows
from kit.rows import AnyRow, one_of
from services.campaigns import books, states
from services.campaigns.claims import CANCELLED
from services.campaigns.errors import CampaignNotFound
from services.campaigns.store.history import HistoryStatements
from services.campaigns.tables import batches, campaigns, metadata

SHOWN = rows.columns(Campaign, campaigns)
TEXT = ["template_id", "template_version", "text"]
ROAD = ["schedule", "throttle_per_hour", "quiet_hours", "frequency_cap", "experiment"]
EDITED = ["name", *TEXT, "audience", "sender_name", "offer_link", "offer", "track_links", "on_long_text", *ROAD]
WAITING = ["READY", "PUBLISHED"]
OPEN = batches.c.state.in_([*WAITING, "TAKEN"])


class CampaignStatements(HistoryStatements):
    metadata = metadata

    async def create_campaign(self, campaign: Campaign) -> Campaign:
        values = rows.values(campaign, campaigns, EDITED)
        created = insert(campaigns).values(values | {"merchant_id": self.merchant_id}).returning(campaigns)
        return shown((await self.connection.execute(created)).one())

    async def campaign(self, id: str, *, lock: bool = False) -> AnyRow:
        """The whole row. With `lock`, nobody else moves the campaign until the end. Refuses `CampaignNotFound`."""
        query = select(campaigns).where(*self._campaign(id))
        row = (await self.connection.execute(query.with_for_update() if lock else query)).one_or_none()
        if row is None:
            raise CampaignNotFound(id=id)
        return row

    async def campaign_page(self, chosen: ListCampaignsRequest, before: int | None, limit: int) -> list[AnyRow]:
        kind = chosen.kind or Campaign.CAMPAIGN
        query = select(campaigns).where(campaigns.c.merchant_id == self.merchant_id, campaigns.c.kind == kind)
        if not chosen.show_archived:
            query = query.where(campaigns.c.archive_time.is_(None))
        if chosen.parent_id:
            query = query.where(campaigns.c.parent_id == chosen.parent_id)
        if before is not None:
            query = query.where(campaigns.c.number < before)
        return list((await self.connection.execute(query.order_by(campaigns.c.number.desc()).limit(limit))).all())

    async def update_campaign(self, id: str, **values: Any) -> AnyRow:
        changed = update(campaigns).where(*self._campaign(id)).values(values).returning(campaigns)
        row: AnyRow = (await self.connection.execute(changed)).one()
        return row

    async def edit_campaign(self, campaign: Campaign, paths: list[str]) -> AnyRow:
        return await self.update_campaign(campaign.id, **rows.values(campaign, campaigns, paths))

    async def delete_campaign(self, id: str) -> None:
        await self.connection.execute(delete(campaigns).where(*self._campaign(id)))

    async def start(self, id: str, frozen: Mapping[str, object]) -> AnyRow:
        """With what is frozen at the send, by column."""
        return await self.update_campaign(
            id,
            state=Campaign.PREPARING,
            start_time=func.now(),
            **frozen,
            failure="",
            # Of whoever found that it was due.
            lease_expire_time=text("'epoch'"),
        )

    async def resume(self, row: AnyRow) -> AnyRow:
        """Goes back to where the pause found it. What a sender had begun is published again at once."""
        state = Campaign.SENDING if row.credits_held else Campaign.PREPARING
        mine = (batches.c.campaign_id == row.id, batches.c.state == "TAKEN")
        await self.connection.execute(update(batches).where(*mine).values(publish_time=None))
        # Whoever prepared it before the pause has lost it. Whoever resumes after a spike has seen it.
        again = {"state": state, "failure": "", "lease_id": "", "lease_expire_time": text("'epoch'")}
        again["guarded"] = row.guarded and row.failure not in states.SPIKES
        return await self.update_campaign(row.id, **again)

    async def cancel(self, row: AnyRow) -> AnyRow:
        """Skips what no sender had begun; the rest ends with its senders."""
        dropped = await self.drop_batches(row.id)
        skipped = row.skipped | ({CANCELLED: dropped} if dropped else {})
        return await self.update_campaign(row.id, state=Campaign.CANCELLED, finish_time=func.now(), skipped=skipped)

    async def fail(self, row: AnyRow, reason: str) -> None:
        """Nothing was sent: everybody who was frozen is skipped."""
        dropped = await self.drop_batches(row.id)
        await self.update_campaign(
            row.id,
            state=Campaign.FAILED,
            finish_time=func.now(),
            failure=reason,
            skipped=row.skipped | ({reason.lower(): dropped} if dropped else {}),
            # Nobody waits for the wallet any more: the books may close at once.
            lease_expire_time=text("'epoch'"),
        )

    async def drop_batches(self, id: str) -> int:
        """Cancels the batches that no sender has begun; returns their recipients."""
        waiting = (batches.c.campaign_id == id, batches.c.state.in_(WAITING))
        dropped = update(batches).where(*waiting).values(state="CANCELLED").returning(batches.c.recipient_count)
        return sum((await self.connection.execute(dropped)).scalars())

    async def apply_tally(self, tally: CampaignTally) -> None:
        """Takes a tally that is newer than the one that stands; an older or repeated one changes nothing."""
        mine = campaigns.c.id == tally.campaign_id
        row = (await self.connection.execute(select(campaigns).where(mine).with_for_update())).one_or_none()
        if row is None:
            return
        values: dict[str, Any] = {"news_time": func.now()}
        # A final report stays what it was, though a failed text may turn out delivered later.
        is_newer = row.tally_version < tally.version and not row.final
        if is_newer:
            # Now it may be closable.
            values |= {"tally": tally, "tally_version": tally.version, "close_time": text("'epoch'")}
        await self.connection.execute(update(campaigns).where(mine).values(values))
        if is_newer:
            gain = books.activity(tally)
            gain.subtract(books.activity(row.tally or CampaignTally()))
            await self.add_history({(row.id, row.merchant_id): gain})

    async def finish_batches(self, campaign_id: str, batch_ids: list[int]) -> None:
        """Marks batches done; with the last one the campaign is `COMPLETED`, unless it was cancelled."""
        named = (batches.c.campaign_id == campaign_id, batches.c.id.in_(batch_ids), batches.c.state != "CANCELLED")
        # The campaign first, as everywhere: two locks in two orders would wait for each other.
        await self.connection.execute(select(campaigns.c.id).where(campaigns.c.id == campaign_id).with_for_update())
        await self.connection.execute(update(batches).where(*named).values(state="DONE"))
        left = select(batches.c.id).where(batches.c.campaign_id == campaign_id, OPEN).exists()
        going = campaigns.c.state.in_([Campaign.SENDING, Campaign.PAUSED])
        done = update(campaigns).where(campaigns.c.id == campaign_id, going, campaigns.c.credits_held > 0, ~left)
        await self.connection.execute(done.values(state=Campaign.COMPLETED, finish_time=func.now()))

    async def closable(self, limit: int, retry_seconds: float, wait_seconds: float) -> list[AnyRow]:
        """Campaigns that have ended, with no batch open and nothing left to learn, and that are not final yet. Each
        comes again after `retry_seconds`. One that still waits for reports is looked at when it has a new tally, and
        every `wait_seconds`: thousands of them stand before none that can be closed.
        """
        left = select(batches.c.id).where(batches.c.campaign_id == campaigns.c.id, OPEN).exists()
        due = (
            select(campaigns.c.id)
            .where(~campaigns.c.final, campaigns.c.state.in_(states.ENDED), ~left)
            .where(campaigns.c.close_time < func.now())
            .where(campaigns.c.lease_expire_time < func.now())
            .order_by(campaigns.c.close_time)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        claimed = update(campaigns).where(one_of(campaigns.c.id, due))
        again = claimed.values(close_time=_after(retry_seconds)).returning(campaigns)
        found = (await self.connection.execute(again)).all()
        waiting = [row.id for row in found if not books.is_settled(row)]
        if waiting:
            later = update(campaigns).where(campaigns.c.id.in_(waiting)).values(close_time=_after(wait_seconds))
            await self.connection.execute(later)
        return [row for row in found if books.is_settled(row)]

    async def finalize(self, id: str) -> None:
        await self.connection.execute(update(campaigns).where(campaigns.c.id == id).values(final=True))

    def _campaign(self, id: str) -> tuple[Any, ...]:
        mine = (campaigns.c.merchant_id == self.merchant_id,) if self.merchant_id else ()
        return campaigns.c.id == rows.uuid(id, CampaignNotFound), *mine


def _after(seconds: float) -> Any:
    return func.now() + func.make_interval(0, 0, 0, 0, 0, 0, seconds)


def shown(row: AnyRow) -> Campaign:
    """The campaign as merchants see it."""
    campaign = Campaign(**{column.name: row._mapping[column.name] for column in SHOWN})
    campaign.counts.CopyFrom(books.counts(row))
    return campaign
