"""Statements of the freezing of an audience, under a lease."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Text, cast, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY

from astronote.campaigns.v1.campaigns_pb2 import Campaign
from astronote.sender.v1.batches_pb2 import SendBatch
from kit.rows import AnyRow
from kit.store import Store
from services.campaigns import states
from services.campaigns.pricing import TOO_LONG
from services.campaigns.tables import batches, campaigns
from services.campaigns.waves import Wave

LEASE_SECONDS = 60
PUT_DOWN_SECONDS = 2
# Of a phone in E.164: the plus and three digits, which hold every calling code.
DESTINATION_LENGTH = 4
_LEASE = func.now() + text(f"interval '{LEASE_SECONDS} seconds'")


class LeaseLostError(Exception):
    """Somebody else prepares this campaign now, or it was paused or cancelled: stop, and touch nothing more."""


class AudienceStatements(Store):
    async def take_preparing(self, lease_id: str, *, frozen: bool) -> AnyRow | None:
        """The campaign that has waited longest for somebody to freeze its audience, or to pay for it, leased."""
        waiting = (
            select(campaigns.c.id)
            .where(campaigns.c.state == Campaign.PREPARING, campaigns.c.frozen == frozen)
            .where(campaigns.c.lease_expire_time < func.now())
            .order_by(campaigns.c.start_time)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        taken = update(campaigns).where(campaigns.c.id == waiting.scalar_subquery())
        values = {"lease_id": lease_id, "lease_expire_time": _LEASE}
        row: AnyRow | None = (await self.connection.execute(taken.values(values).returning(campaigns))).one_or_none()
        return row

    async def put_down(self, row: AnyRow) -> None:
        """Lets go of the lease, where it is still ours: somebody goes on in a moment."""
        ours = (campaigns.c.id == row.id, campaigns.c.lease_id == row.lease_id)
        soon = func.now() + text(f"interval '{PUT_DOWN_SECONDS} seconds'")
        await self.connection.execute(update(campaigns).where(*ours).values(lease_expire_time=soon))

    async def next_batch_ids(self, count: int) -> list[int]:
        drawn = text("SELECT nextval('batches_id_seq') FROM generate_series(1, :count)")
        return list((await self.connection.execute(drawn, {"count": count})).scalars())

    async def add_batches(
        self, row: AnyRow, added: Mapping[Wave, SendBatch], after_phone: str, skipped: Mapping[str, int]
    ) -> None:
        """A page of the frozen audience, as a batch for each wave, and how far that is, in one transaction.
        Whoever is in none of them is skipped, by reason. Raises `LeaseLostError`.
        """
        credits = {batch.batch_id: _credits(batch) for batch in added.values()}
        recipients = sum(len(batch.recipients) for batch in added.values())
        await self._advance(
            row,
            after_phone=after_phone,
            targeted=campaigns.c.targeted + recipients + sum(skipped.values()),
            price=campaigns.c.price + sum(credits.values()),
            destinations=_union(campaigns.c.destinations, _destinations(added.values())),
            **({"skipped": _more(campaigns.c.skipped, skipped)} if any(skipped.values()) else {}),
            **_more_variants(row, added.values()),
        )
        last = select(func.max(batches.c.number)).where(batches.c.campaign_id == row.id).scalar_subquery()
        next_number = func.coalesce(last + 1, 0)
        for wave, batch in added.items():
            if not batch.recipients:
                continue
            values = {
                "id": batch.batch_id,
                "merchant_id": row.merchant_id,
                "campaign_id": row.id,
                "number": next_number,
                "payload": batch.SerializeToString(),
                "recipient_count": len(batch.recipients),
                "credits": credits[batch.batch_id],
                "expedited": batch.expedited,
                "due_time": wave.due_time,
                "time_zone": wave.time_zone,
            }
            await self.connection.execute(insert(batches).values(values))

    async def freeze(self, row: AnyRow) -> AnyRow:
        """The audience is whole. Raises `LeaseLostError`."""
        return await self._advance(row, frozen=True)

    async def begin_small(self, values: dict[str, Any]) -> AnyRow:
        """A campaign that gets its audience in this same transaction."""
        begun = {"merchant_id": self.merchant_id, "state": Campaign.PREPARING, "start_time": func.now(), **values}
        row: AnyRow = (await self.connection.execute(insert(campaigns).values(begun).returning(campaigns))).one()
        return row

    async def freeze_small(self, row: AnyRow, added: Mapping[Wave, SendBatch], members: int) -> AnyRow:
        """This is all of it: it is to be paid for, by whoever is first."""
        too_long = members - sum(len(batch.recipients) for batch in added.values())
        await self.add_batches(row, added, after_phone="", skipped={TOO_LONG: too_long})
        return await self._advance(row, frozen=True, lease_expire_time=text("'epoch'"))

    async def begin_sending(self, row: AnyRow, credits: int) -> None:
        """Raises `LeaseLostError`."""
        await self._advance(row, state=Campaign.SENDING, credits_held=credits, lease_expire_time=text("'epoch'"))

    async def put_off(self, row: AnyRow, reason: str) -> None:
        """Pauses it as it stands: whoever resumes it asks the wallet again. Raises `LeaseLostError`."""
        await self._advance(row, state=Campaign.PAUSED, failure=reason, lease_expire_time=text("'epoch'"))

    async def reopen(self, id: str) -> None:
        """Has an ended campaign closed once more."""
        ended = (campaigns.c.id == id, campaigns.c.state.in_(states.ENDED))
        again = update(campaigns).where(*ended).values(final=False, close_time=text("'epoch'"))
        await self.connection.execute(again)

    async def _advance(self, row: AnyRow, **values: Any) -> AnyRow:
        held = (
            campaigns.c.id == row.id,
            campaigns.c.state == Campaign.PREPARING,
            campaigns.c.lease_id == row.lease_id,
        )
        changed = update(campaigns).where(*held).values({"lease_expire_time": _LEASE, **values}).returning(campaigns)
        found: AnyRow | None = (await self.connection.execute(changed)).one_or_none()
        if found is None:
            raise LeaseLostError(row.id)
        return found


def _union(column: Any, more: set[str]) -> Any:
    """The column's texts and these, each once, in their order: so the same audience always asks the wallet the same."""
    both = func.unnest(func.array_cat(column, cast(sorted(more), ARRAY(Text)))).label("each")
    # Of this campaign alone: left to itself, the statement would read all there are.
    return func.array(select(both).distinct().order_by(both).correlate(campaigns).scalar_subquery())


def _destinations(batches: Iterable[SendBatch]) -> set[str]:
    return {each.phone[:DESTINATION_LENGTH] for batch in batches for each in batch.recipients}


def _credits(batch: SendBatch) -> int:
    return sum(recipient.credits for recipient in batch.recipients)


def _more_variants(row: AnyRow, batches: Iterable[SendBatch]) -> dict[str, Any]:
    """Nothing where everybody gets the same text."""
    if not row.experiment or not row.experiment.texts:
        return {}
    got = Counter(str(each.variant) for batch in batches for each in batch.recipients)
    return {"variant_recipients": _more(campaigns.c.variant_recipients, got)} if got else {}


def _more(column: Any, more: Mapping[str, int]) -> Any:
    """Counts by name, with these added."""
    counts = []
    for name, count in more.items():
        counts += [name, func.coalesce(column[name].as_integer(), 0) + count]
    return column.op("||")(func.jsonb_build_object(*counts))
