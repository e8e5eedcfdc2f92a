"""What happened when, by quarters of an hour: the timeline of a campaign, and the days of a merchant's dashboard.

The senders' tallies are absolute; the history gets what each adds, in the transaction that takes it, so a repeat adds
nothing. What readers do is counted in shards, and folded in from there a moment later, so that no reader waits for the
one row of a quarter.
"""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from astronote.campaigns.v1.reports_pb2 import Activity
from kit.rows import AnyRow
from kit.store import Database
from services.campaigns.errors import DaysInvalid
from services.campaigns.store import CampaignStore
from services.campaigns.tables import ACTIVITY

SHARDS_A_ROUND = 500
DAYS_DEFAULT, DAYS_MAX = 30, 92


class Historian:
    """Folds the responses in. A step is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def step(self) -> bool:
        async with CampaignStore.open_pipeline(self._database) as store:
            return await store.fold_responses(SHARDS_A_ROUND) == SHARDS_A_ROUND


def activity(row: AnyRow) -> Activity:
    return Activity(**{name: row._mapping[name] for name in ACTIVITY})


def day_starts(days: int, now: datetime, time_zone: str) -> list[tuple[date, datetime]]:
    """Twice as many days, up to today, each with its first instant; a day that has 23 or 25 hours has them here too.

    Refuses `DaysInvalid`.
    """
    if not 0 <= days <= DAYS_MAX:
        raise DaysInvalid(field="days", days_max=DAYS_MAX)
    zone = ZoneInfo(time_zone or "UTC")
    today = now.astimezone(zone).date()
    dates = [today - timedelta(days=back) for back in range(2 * (days or DAYS_DEFAULT) - 1, -1, -1)]
    return [(each, datetime(each.year, each.month, each.day, tzinfo=zone).astimezone(UTC)) for each in dates]
