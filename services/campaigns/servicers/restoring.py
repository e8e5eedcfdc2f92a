"""What operators do after the database went back to a point in time. See docs/backup.md."""

import asyncio
from datetime import UTC, datetime

from astronote.operations.v1 import restore_pb2 as pb
from astronote.operations.v1 import restore_pb2_grpc as rpc
from kit.interceptors import Context
from kit.store import Database
from ops import served
from services.campaigns import schedules
from services.campaigns.store import CampaignStore

CAMPAIGNS_MAX, ENROLMENTS_MAX = 500, 50_000


class Restoring(rpc.RestoreServiceServicer):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def StopForgotten(self, request: pb.StopForgottenRequest, context: Context) -> pb.StopForgottenResponse:
        ids = served.ids_forgotten(request, datetime.now(UTC))
        async with CampaignStore.open_pipeline(self._database) as store:
            await store.leave_out_ids(ids)
            stopped = {
                # Before the campaigns: an occurrence that was being made is one of them.
                "starts": await miss_starts(store),
                "campaigns": await store.cancel_going(CAMPAIGNS_MAX),
                "automations' days": await store.skip_days(),
                "automations' texts": await store.skip_enrolments(ENROLMENTS_MAX),
            }
        return pb.StopForgottenResponse(stopped={name: count for name, count in stopped.items() if count})


async def miss_starts(store: CampaignStore) -> int:
    """As if they had been missed by too much (docs/adr/0028)."""
    rows = await store.lock_due_starts(CAMPAIGNS_MAX)
    for row in rows:
        if row.schedule.rrule:
            await store.go_on(row, await asyncio.to_thread(schedules.next_start, row.schedule, row.now))
        await store.miss(row)
    return len(rows)
